package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/grafana/dataplane/sdata"
	"github.com/grafana/dataplane/sdata/numeric"
	"github.com/grafana/dataplane/sdata/reader"
	"github.com/grafana/dataplane/sdata/timeseries"
	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/grafana/grafana-plugin-sdk-go/genproto/pluginv2"
)

// ruleInput is what an alert rule gets of a query's frames: numbers or series, each with its labels. Grafana's
// server-side expressions (pkg/expr, ResultConverter) read frames by the same library in the same way.
type ruleInput struct {
	// Kind is numeric, timeseries or no data.
	Kind    string       `json:"kind"`
	Type    string       `json:"type"`
	Metrics []ruleMetric `json:"metrics"`
	// Schema is what the SDK takes the first frame's shape for, by its fields alone: not, long or wide.
	Schema string `json:"schema"`
}

// ruleMetric has one value for a number and one for each time (milliseconds since 1970) of a series; nulls are kept.
type ruleMetric struct {
	Name   string      `json:"name"`
	Labels data.Labels `json:"labels"`
	Times  []int64     `json:"times,omitempty"`
	Values []*float64  `json:"values"`
}

func ruleReport(response *pluginv2.DataResponse) (*ruleInput, error) {
	frames := data.Frames{}
	for _, encoded := range response.Frames {
		frame, err := readFrame(formatName(response.Format), encoded)
		if err != nil {
			return nil, err
		}
		frames = append(frames, frame)
	}
	return readForRule(frames)
}

func readForRule(frames data.Frames) (*ruleInput, error) {
	if len(frames) == 0 {
		return &ruleInput{Kind: "no data", Metrics: []ruleMetric{}}, nil
	}
	frameType, err := reader.CanReadBasedOnMeta(frames)
	var warning *sdata.VersionWarning
	if err != nil && !errors.As(err, &warning) {
		return nil, err
	}
	made := &ruleInput{
		Kind: string(frameType.Kind()), Type: string(frameType), Metrics: []ruleMetric{},
		Schema: frames[0].TimeSeriesSchema().Type.String(),
	}
	switch frameType.Kind() {
	case data.KindNumeric:
		return made, made.readNumbers(frames)
	case data.KindTimeSeries:
		return made, made.readSeries(frames)
	default:
		return nil, fmt.Errorf("rules cannot be made of frames of type %q", frameType)
	}
}

func (r *ruleInput) readNumbers(frames data.Frames) error {
	collection, err := numeric.CollectionReaderFromFrames(frames)
	if err != nil {
		return err
	}
	found, err := collection.GetCollection(false)
	if err != nil {
		return errors.Join(err, found.Warning)
	}
	if found.NoData() {
		r.Kind = "no data"
	}
	for _, ref := range found.Refs {
		value, _, err := ref.NullableFloat64Value()
		if err != nil {
			return err
		}
		r.Metrics = append(r.Metrics, ruleMetric{Name: ref.GetMetricName(), Labels: ref.GetLabels(), Values: []*float64{value}})
	}
	return found.Warning
}

func (r *ruleInput) readSeries(frames data.Frames) error {
	collection, err := timeseries.CollectionReaderFromFrames(frames)
	if err != nil {
		return err
	}
	// Validates, too, which Grafana does not do: times must ascend and labels must differ.
	found, err := collection.GetCollection(true)
	if err != nil {
		return errors.Join(err, found.Warning)
	}
	if found.NoData() {
		r.Kind = "no data"
	}
	for _, ref := range found.Refs {
		one := ruleMetric{Name: ref.GetMetricName(), Labels: ref.GetLabels()}
		for row := range ref.ValueField.Len() {
			value, err := ref.ValueField.NullableFloatAt(row)
			if err != nil {
				return err
			}
			when, ok := ref.TimeField.ConcreteAt(row)
			if !ok {
				return fmt.Errorf("the series %s has no time in row %d", one.Name, row)
			}
			moment, ok := when.(time.Time)
			if !ok {
				return fmt.Errorf("the times of %s are of type %T", one.Name, when)
			}
			one.Times, one.Values = append(one.Times, moment.UnixMilli()), append(one.Values, value)
		}
		r.Metrics = append(r.Metrics, one)
	}
	return found.Warning
}
