package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/grafana/grafana-plugin-sdk-go/backend/grpcplugin"
	"github.com/grafana/grafana-plugin-sdk-go/genproto/pluginv2"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/status"
)

// fields is an answer: what the plugin said, or "rpc_error" with gRPC's code and message, or "host_error" when the plugin
// did answer but the SDK cannot read it, or the request makes no sense.
type fields map[string]any

// services are the plugin's gRPC services as the SDK's clients see them.
type services struct {
	connection  plugin.ClientProtocol
	diagnostics grpcplugin.DiagnosticsClient
	data        grpcplugin.DataClient
	resource    grpcplugin.ResourceClient
	stream      grpcplugin.StreamClient
	admission   grpcplugin.AdmissionClient
	conversion  grpcplugin.ConversionClient
}

func pluginSet() plugin.PluginSet {
	return plugin.PluginSet{
		"diagnostics": &grpcplugin.DiagnosticsGRPCPlugin{},
		"data":        &grpcplugin.DataGRPCPlugin{},
		"resource":    &grpcplugin.ResourceGRPCPlugin{},
		"stream":      &grpcplugin.StreamGRPCPlugin{},
		"admission":   &grpcplugin.AdmissionGRPCPlugin{},
		"conversion":  &grpcplugin.ConversionGRPCPlugin{},
	}
}

func dispense(connection plugin.ClientProtocol) (*services, error) {
	made := &services{connection: connection}
	return made, errors.Join(
		dispenseOne(connection, "diagnostics", &made.diagnostics),
		dispenseOne(connection, "data", &made.data),
		dispenseOne(connection, "resource", &made.resource),
		dispenseOne(connection, "stream", &made.stream),
		dispenseOne(connection, "admission", &made.admission),
		dispenseOne(connection, "conversion", &made.conversion),
	)
}

func dispenseOne[Client any](connection plugin.ClientProtocol, name string, into *Client) error {
	raw, err := connection.Dispense(name)
	if err != nil {
		return err
	}
	client, ok := raw.(Client)
	if !ok {
		return fmt.Errorf("the SDK's %s client is a %T", name, raw)
	}
	*into = client
	return nil
}

func (s *services) answer(ctx context.Context, r *request, running *calls) fields {
	made, err := s.call(ctx, r, running)
	if err != nil {
		said, isStatus := status.FromError(err)
		if !isStatus {
			return fields{"host_error": err.Error()}
		}
		return fields{"rpc_error": fields{"code": said.Code().String(), "message": said.Message()}}
	}
	return made
}

func (s *services) call(ctx context.Context, r *request, running *calls) (fields, error) {
	switch r.Op {
	case "ping":
		return fields{}, s.connection.Ping()
	case "cancel":
		return fields{"found": running.cancel(r.Target)}, nil
	case "health":
		return s.health(ctx, r)
	case "metrics":
		return s.metrics(ctx, r)
	case "query":
		return s.query(ctx, r)
	case "chunked_query":
		return s.chunkedQuery(ctx, r)
	case "resource":
		return s.callResource(ctx, r)
	case "subscribe":
		return s.subscribe(ctx, r)
	case "run_stream":
		return s.runStream(ctx, r)
	case "publish":
		return s.publish(ctx, r)
	case "validate":
		return s.validate(ctx, r)
	case "convert":
		return s.convert(ctx, r)
	default:
		return nil, fmt.Errorf("the host knows no op %q", r.Op)
	}
}

func (s *services) health(ctx context.Context, r *request) (fields, error) {
	got, err := s.diagnostics.CheckHealth(ctx, &pluginv2.CheckHealthRequest{PluginContext: r.pluginContext(), Headers: r.flatHeaders()})
	if err != nil {
		return nil, err
	}
	return fields{"status": got.Status.String(), "message": got.Message, "details": rawJSON(got.JsonDetails)}, nil
}

func (s *services) metrics(ctx context.Context, r *request) (fields, error) {
	got, err := s.diagnostics.CollectMetrics(ctx, &pluginv2.CollectMetricsRequest{PluginContext: r.pluginContext()})
	if err != nil {
		return nil, err
	}
	return fields{"prometheus": string(got.Metrics.GetPrometheus())}, nil
}

func (s *services) query(ctx context.Context, r *request) (fields, error) {
	got, err := s.data.QueryData(ctx, &pluginv2.QueryDataRequest{
		PluginContext: r.pluginContext(), Headers: r.flatHeaders(), Queries: r.dataQueries(), Format: r.frameFormat(),
	})
	if err != nil {
		return nil, err
	}
	responses := map[string]fields{}
	for refID, response := range got.Responses {
		frames, size := []*frameReport{}, 0
		for _, encoded := range response.Frames {
			report, err := readReport(response.Format, encoded, !r.Quiet)
			if err != nil {
				return nil, fmt.Errorf("frame of query %s: %w", refID, err)
			}
			frames, size = append(frames, report), size+len(encoded)
		}
		responses[refID] = fields{
			"frames": frames, "bytes": size, "error": response.Error, "status": response.Status,
			"error_source": response.ErrorSource, "format": response.Format.String(),
		}
		if r.Rule {
			if responses[refID]["rule"], err = ruleReport(response); err != nil {
				responses[refID]["rule_error"] = err.Error()
			}
		}
	}
	return fields{"responses": responses}, nil
}

func (s *services) chunkedQuery(ctx context.Context, r *request) (fields, error) {
	stream, err := s.data.QueryChunkedData(ctx, &pluginv2.QueryChunkedDataRequest{
		PluginContext: r.pluginContext(), Headers: r.flatHeaders(), Queries: r.dataQueries(), Format: r.frameFormat(),
	})
	if err != nil {
		return nil, err
	}
	chunks, joiner := []fields{}, newFrameJoiner()
	for {
		got, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		chunk := fields{
			"ref_id": got.RefId, "frame_id": got.FrameId, "bytes": len(got.Frame), "error": got.Error, "status": got.Status,
			"error_source": got.ErrorSource, "format": got.Format.String(), "rows": 0,
		}
		if len(got.Frame) > 0 {
			if chunk["rows"], err = joiner.add(got); err != nil {
				return nil, fmt.Errorf("chunk of query %s: %w", got.RefId, err)
			}
		}
		chunks = append(chunks, chunk)
	}
	frames, err := joiner.report(!r.Quiet)
	return fields{"chunks": chunks, "frames": frames}, err
}

func (s *services) callResource(ctx context.Context, r *request) (fields, error) {
	headers := map[string]*pluginv2.StringList{}
	for name, values := range r.Headers {
		headers[name] = &pluginv2.StringList{Values: values}
	}
	url := r.URL
	if url == "" {
		url = r.Path
	}
	stream, err := s.resource.CallResource(ctx, &pluginv2.CallResourceRequest{
		PluginContext: r.pluginContext(), Path: r.Path, Url: url, Method: r.Method, Headers: headers, Body: r.Body,
	})
	if err != nil {
		return nil, err
	}
	parts, body := []fields{}, []byte{}
	for {
		got, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		sent := map[string][]string{}
		for name, values := range got.Headers {
			sent[name] = values.Values
		}
		parts = append(parts, fields{"code": got.Code, "headers": sent, "bytes": len(got.Body)})
		body = append(body, got.Body...)
	}
	if len(parts) == 0 {
		return nil, errors.New("the plugin ended the answer without a part")
	}
	return fields{"code": parts[0]["code"], "headers": parts[0]["headers"], "parts": parts, "body": body}, nil
}

func (s *services) subscribe(ctx context.Context, r *request) (fields, error) {
	got, err := s.stream.SubscribeStream(ctx, &pluginv2.SubscribeStreamRequest{
		PluginContext: r.pluginContext(), Path: r.Path, Data: r.Body, Headers: r.flatHeaders(),
	})
	if err != nil {
		return nil, err
	}
	return fields{"status": got.Status.String(), "data": rawJSON(got.Data)}, nil
}

func (s *services) publish(ctx context.Context, r *request) (fields, error) {
	got, err := s.stream.PublishStream(ctx, &pluginv2.PublishStreamRequest{
		PluginContext: r.pluginContext(), Path: r.Path, Data: r.Body, Headers: r.flatHeaders(),
	})
	if err != nil {
		return nil, err
	}
	return fields{"status": got.Status.String(), "data": rawJSON(got.Data)}, nil
}

// runStream answers with the packets, at most Count of them, and for each the frame that the SDK reads from it, or null.
func (s *services) runStream(ctx context.Context, r *request) (fields, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.stream.RunStream(ctx, &pluginv2.RunStreamRequest{
		PluginContext: r.pluginContext(), Path: r.Path, Data: r.Body, Headers: r.flatHeaders(),
	})
	if err != nil {
		return nil, err
	}
	packets, frames, ended := []any{}, []*frameReport{}, false
	for len(packets) < r.Count {
		got, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			ended = true
			break
		}
		if err != nil {
			return nil, err
		}
		packets = append(packets, rawJSON(got.Data))
		report, err := readReport(pluginv2.DataFrameFormat_JSON, got.Data, !r.Quiet)
		if err != nil {
			report = nil // a packet may be any JSON
		}
		frames = append(frames, report)
	}
	return fields{"packets": packets, "frames": frames, "ended": ended}, nil
}

func (s *services) validate(ctx context.Context, r *request) (fields, error) {
	got, err := s.admission.ValidateAdmission(ctx, &pluginv2.AdmissionRequest{PluginContext: r.pluginContext(), ObjectBytes: r.Object})
	if err != nil {
		return nil, err
	}
	return fields{"allowed": got.Allowed, "message": got.Result.GetMessage()}, nil
}

func (s *services) convert(ctx context.Context, r *request) (fields, error) {
	got, err := s.conversion.ConvertObjects(ctx, &pluginv2.ConversionRequest{
		PluginContext: r.pluginContext(), Objects: []*pluginv2.RawObject{{Raw: r.Object, ContentType: "application/json"}},
	})
	if err != nil {
		return nil, err
	}
	return fields{"objects": len(got.Objects)}, nil
}

func readReport(format pluginv2.DataFrameFormat, encoded []byte, withValues bool) (*frameReport, error) {
	frame, err := readFrame(formatName(format), encoded)
	if err != nil {
		return nil, err
	}
	return reportFrame(frame, withValues)
}

func formatName(format pluginv2.DataFrameFormat) string {
	if format == pluginv2.DataFrameFormat_JSON {
		return formatJSON
	}
	return formatArrow
}

// rawJSON keeps JSON as it is, and shows what is no JSON as text.
func rawJSON(text []byte) any {
	if len(text) == 0 {
		return nil
	}
	if json.Valid(text) {
		return json.RawMessage(text)
	}
	return string(text)
}
