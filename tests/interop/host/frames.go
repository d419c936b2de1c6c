package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
)

const (
	formatArrow = "arrow"
	formatJSON  = "json"
)

// frameReport is what the SDK read from an encoded frame.
type frameReport struct {
	Name   string          `json:"name"`
	RefID  string          `json:"ref_id"`
	Meta   *data.FrameMeta `json:"meta"`
	Rows   int             `json:"rows"`
	Fields []fieldReport   `json:"fields"`
	// Tabs are the names of the inspector's tabs that the notices in Meta, where they are numbers, ask for.
	Tabs []string `json:"tabs,omitempty"`
}

// fieldReport holds the values exactly: times as nanoseconds since 1970, floats always with a point or an exponent, or
// as the texts NaN, +Inf and -Inf, and JSON cells as they are.
type fieldReport struct {
	Name   string            `json:"name"`
	Type   string            `json:"type"`
	Labels data.Labels       `json:"labels"`
	Config *data.FieldConfig `json:"config"`
	Values []json.RawMessage `json:"values,omitempty"`
}

// decodeRequest is a line that decode reads; Frame is base64 in JSON.
type decodeRequest struct {
	Format string `json:"format"`
	Frame  []byte `json:"frame"`
}

type decodeAnswer struct {
	Frame *frameReport `json:"frame,omitempty"`
	// Again is the SDK's own JSON of what it read.
	Again json.RawMessage `json:"again,omitempty"`
	// Direct is the JSON that the SDK makes of an Arrow file without a frame in between.
	Direct json.RawMessage `json:"direct,omitempty"`
	Error  string          `json:"error,omitempty"`
}

func decode(from io.Reader, out *lineWriter) error {
	return eachLine(from, func(line []byte) error {
		var request decodeRequest
		if err := json.Unmarshal(line, &request); err != nil {
			return fmt.Errorf("a line is no decode request: %w", err)
		}
		answer, err := decodeOne(request)
		if err != nil {
			answer = decodeAnswer{Error: err.Error()}
		}
		return out.write(answer)
	})
}

func decodeOne(request decodeRequest) (decodeAnswer, error) {
	frame, err := readFrame(request.Format, request.Frame)
	if err != nil {
		return decodeAnswer{}, err
	}
	report, err := reportFrame(frame, true)
	if err != nil {
		return decodeAnswer{}, err
	}
	answer := decodeAnswer{Frame: report}
	if answer.Again, err = data.FrameToJSON(frame, data.IncludeAll); err != nil {
		return decodeAnswer{}, err
	}
	if request.Format == formatArrow {
		answer.Direct, err = data.ArrowBufferToJSON(request.Frame, data.IncludeAll)
	}
	return answer, err
}

func readFrame(format string, encoded []byte) (*data.Frame, error) {
	switch format {
	case formatArrow:
		return data.UnmarshalArrowFrame(encoded)
	case formatJSON:
		frame := &data.Frame{}
		return frame, json.Unmarshal(encoded, frame)
	default:
		return nil, fmt.Errorf("format must be %q or %q, not %q", formatArrow, formatJSON, format)
	}
}

func reportFrame(frame *data.Frame, withValues bool) (*frameReport, error) {
	rows, err := frame.RowLen()
	if err != nil {
		return nil, err
	}
	report := &frameReport{Name: frame.Name, RefID: frame.RefID, Meta: frame.Meta, Rows: rows, Fields: []fieldReport{}}
	if frame.Meta != nil {
		for _, notice := range frame.Meta.Notices {
			report.Tabs = append(report.Tabs, notice.Inspect.String())
		}
	}
	for _, field := range frame.Fields {
		one := fieldReport{Name: field.Name, Type: field.Type().ItemTypeString(), Labels: field.Labels, Config: field.Config}
		if withValues {
			one.Values = make([]json.RawMessage, rows)
			for row := range rows {
				if one.Values[row], err = reportCell(field, row); err != nil {
					return nil, fmt.Errorf("field %q, row %d: %w", field.Name, row, err)
				}
			}
		}
		report.Fields = append(report.Fields, one)
	}
	return report, nil
}

func reportCell(field *data.Field, row int) (json.RawMessage, error) {
	value, present := field.ConcreteAt(row)
	if !present {
		return json.RawMessage("null"), nil
	}
	switch cell := value.(type) {
	case time.Time:
		return strconv.AppendInt(nil, cell.UnixNano(), 10), nil
	case float64:
		return reportFloat(cell), nil
	case float32:
		return reportFloat(float64(cell)), nil
	case json.RawMessage:
		if cell == nil {
			return json.RawMessage("null"), nil
		}
		if !json.Valid(cell) {
			return nil, fmt.Errorf("the cell is no JSON text: %q", cell)
		}
		return cell, nil
	default:
		return json.Marshal(cell)
	}
}

func reportFloat(value float64) json.RawMessage {
	text := strconv.FormatFloat(value, 'g', -1, 64)
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		text = strconv.Quote(text)
	case !strings.ContainsAny(text, ".e"):
		text += ".0"
	}
	return json.RawMessage(text)
}
