package main

import (
	"fmt"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/grafana/grafana-plugin-sdk-go/genproto/pluginv2"
)

// frameJoiner puts frames together again from their chunks, as a reader of a chunked query does: the first chunk of a
// frame has its schema; in later ones, Arrow repeats it and JSON leaves it out.
type frameJoiner struct {
	byID  map[chunkID]*data.Frame
	order map[string][]chunkID
}

type chunkID struct{ refID, frameID string }

func newFrameJoiner() *frameJoiner {
	return &frameJoiner{byID: map[chunkID]*data.Frame{}, order: map[string][]chunkID{}}
}

// add returns how many rows the chunk has.
func (j *frameJoiner) add(chunk *pluginv2.QueryChunkedDataResponse) (int, error) {
	id := chunkID{chunk.RefId, chunk.FrameId}
	whole, known := j.byID[id]
	if !known {
		first, err := readFrame(formatName(chunk.Format), chunk.Frame)
		if err != nil {
			return 0, err
		}
		j.byID[id], j.order[id.refID] = first, append(j.order[id.refID], id)
		return first.RowLen()
	}
	before := whole.Rows()
	if chunk.Format == pluginv2.DataFrameFormat_JSON {
		err := data.AppendJSONData(whole, chunk.Frame)
		return whole.Rows() - before, err
	}
	part, err := readFrame(formatArrow, chunk.Frame)
	if err != nil {
		return 0, err
	}
	if len(part.Fields) != len(whole.Fields) {
		return 0, fmt.Errorf("frame %s goes on with %d fields after %d", id.frameID, len(part.Fields), len(whole.Fields))
	}
	for i, field := range part.Fields {
		if field.Type() != whole.Fields[i].Type() {
			return 0, fmt.Errorf("field %q goes on as %s after %s", field.Name, field.Type(), whole.Fields[i].Type())
		}
		whole.Fields[i].AppendAll(field)
	}
	return part.Rows(), nil
}

// report returns the joined frames by query, in the order in which they began.
func (j *frameJoiner) report(withValues bool) (map[string][]*frameReport, error) {
	reports := map[string][]*frameReport{}
	for refID, ids := range j.order {
		for _, id := range ids {
			report, err := reportFrame(j.byID[id], withValues)
			if err != nil {
				return nil, fmt.Errorf("query %s: %w", refID, err)
			}
			reports[refID] = append(reports[refID], report)
		}
	}
	return reports, nil
}
