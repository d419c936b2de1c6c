package main

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"

	"github.com/grafana/grafana-plugin-sdk-go/genproto/pluginv2"
)

// request is one line of standard input. ID (any number above 0) comes back with the answer.
//
// Op is one of health, metrics, query, chunked_query, resource, subscribe, run_stream, publish, validate, convert, ping,
// and cancel, which ends the call whose id is Target as a closed panel does.
type request struct {
	ID     int64  `json:"id"`
	Op     string `json:"op"`
	Target int64  `json:"target"`

	// Who asks, and of which data source. A null User is a call without a signed-in user.
	OrgID         int64             `json:"org_id"`
	Namespace     string            `json:"namespace"`
	User          *string           `json:"user"`
	Role          string            `json:"role"`
	Email         string            `json:"email"`
	DataSource    dataSource        `json:"data_source"`
	GrafanaConfig map[string]string `json:"grafana_config"`
	UserAgent     string            `json:"user_agent"`

	// Headers are those of the browser's request.
	Headers map[string]header `json:"headers"`

	// query and chunked_query
	Queries []query `json:"queries"`
	Format  string  `json:"format"`
	// Quiet leaves the frames' values out of the answer.
	Quiet bool `json:"quiet"`
	// Rule adds what an alert rule gets of each response's frames; see alerting.go.
	Rule bool `json:"rule"`

	// resource, subscribe, run_stream, publish. URL is the path with its query text, by default the path alone.
	Path   string `json:"path"`
	URL    string `json:"url"`
	Method string `json:"method"`
	Body   []byte `json:"body"`

	// run_stream ends after Count packets.
	Count int `json:"count"`

	// validate and convert
	Object []byte `json:"object"`
}

type dataSource struct {
	ID         int64             `json:"id"`
	UID        string            `json:"uid"`
	Name       string            `json:"name"`
	URL        string            `json:"url"`
	JSONData   json.RawMessage   `json:"json_data"`
	SecureJSON map[string]string `json:"secure_json"`
	UpdatedMS  int64             `json:"updated_ms"`
	APIVersion string            `json:"api_version"`
}

type query struct {
	RefID         string          `json:"ref_id"`
	QueryType     string          `json:"query_type"`
	MaxDataPoints int64           `json:"max_data_points"`
	IntervalMS    int64           `json:"interval_ms"`
	FromMS        int64           `json:"from_ms"`
	ToMS          int64           `json:"to_ms"`
	Model         json.RawMessage `json:"model"`
}

// header is one value or a list of them.
type header []string

func (h *header) UnmarshalJSON(text []byte) error {
	var one string
	if err := json.Unmarshal(text, &one); err == nil {
		*h = header{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(h))
}

// parseRequest refuses fields that it does not know: a misspelt one would make a test pass for the wrong reason.
func parseRequest(line []byte) (*request, error) {
	parsed := &request{
		OrgID: 1, Namespace: "default", Role: "Viewer", Format: formatArrow, Method: "GET", Count: 1, UserAgent: "Grafana/13.1.0",
		DataSource: dataSource{ID: 1, UID: "interop", Name: "Interop", JSONData: json.RawMessage("{}"), UpdatedMS: 1, APIVersion: "v0alpha1"},
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(parsed)
	return parsed, err
}

func (r *request) pluginContext() *pluginv2.PluginContext {
	made := &pluginv2.PluginContext{
		OrgId: r.OrgID, Namespace: r.Namespace, PluginId: "interop-datasource", PluginVersion: "1.0.0", ApiVersion: "v0alpha1",
		GrafanaConfig: r.GrafanaConfig, UserAgent: r.UserAgent,
		DataSourceInstanceSettings: &pluginv2.DataSourceInstanceSettings{
			Id: r.DataSource.ID, Uid: r.DataSource.UID, Name: r.DataSource.Name, Url: r.DataSource.URL,
			JsonData: r.DataSource.JSONData, DecryptedSecureJsonData: r.DataSource.SecureJSON,
			LastUpdatedMS: r.DataSource.UpdatedMS, ApiVersion: r.DataSource.APIVersion,
		},
	}
	if r.User != nil {
		made.User = &pluginv2.User{Login: *r.User, Name: *r.User, Email: r.Email, Role: r.Role}
	}
	return made
}

// flatHeaders are the headers of calls that know one value for each.
func (r *request) flatHeaders() map[string]string {
	flat := map[string]string{}
	for name, values := range r.Headers {
		if len(values) > 0 {
			flat[name] = values[0]
		}
	}
	return flat
}

func (r *request) frameFormat() pluginv2.DataFrameFormat {
	if r.Format == formatJSON {
		return pluginv2.DataFrameFormat_JSON
	}
	return pluginv2.DataFrameFormat_ARROW
}

func (r *request) dataQueries() []*pluginv2.DataQuery {
	made := make([]*pluginv2.DataQuery, len(r.Queries))
	for i, one := range r.Queries {
		made[i] = &pluginv2.DataQuery{
			RefId: one.RefID, QueryType: one.QueryType, MaxDataPoints: one.MaxDataPoints, IntervalMS: one.IntervalMS,
			TimeRange: &pluginv2.TimeRange{FromEpochMS: one.FromMS, ToEpochMS: one.ToMS}, Json: one.Model,
		}
	}
	return made
}

// calls are those under way, so that one can be cancelled from outside.
type calls struct {
	lock    sync.Mutex
	running map[int64]context.CancelFunc
}

func newCalls() *calls { return &calls{running: map[int64]context.CancelFunc{}} }

func (c *calls) begin(id int64) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c.lock.Lock()
	defer c.lock.Unlock()
	c.running[id] = cancel
	return ctx, func() {
		cancel()
		c.lock.Lock()
		defer c.lock.Unlock()
		delete(c.running, id)
	}
}

// cancel reports whether such a call was under way.
func (c *calls) cancel(id int64) bool {
	c.lock.Lock()
	defer c.lock.Unlock()
	cancel, found := c.running[id]
	if found {
		cancel()
	}
	return found
}
