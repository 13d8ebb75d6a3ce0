package scotoma

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

// batchRows is how many rows are decoded at once: pictures are large.
const batchRows = 16

// parquetTable reads a Parquet file row group by row group; rows travel as JSON, bytes as data URIs.
func parquetTable(file *os.File, row func(int, *v1.Row, error) bool) {
	about, err := file.Stat()
	if err != nil {
		row(0, nil, err)
		return
	}
	var reader *parquet.GenericReader[map[string]any]
	var schema parquet.Node
	err = guarded(func() error {
		table, err := parquet.OpenFile(file, about.Size())
		if err == nil {
			schema = table.Schema()
			reader = parquet.NewGenericReader[map[string]any](table, table.Schema())
		}
		return err
	})
	if err != nil {
		row(0, nil, err)
		return
	}
	defer func() { _ = reader.Close() }()
	for number := 0; ; {
		batch := make([]map[string]any, batchRows)
		for i := range batch {
			batch[i] = map[string]any{}
		}
		count := 0
		err := guarded(func() (err error) {
			count, err = reader.Read(batch)
			return err
		})
		for _, cells := range batch[:count] {
			number++
			text, files, err := parquetRow(file.Name(), cells, schema)
			if !row(number, &v1.Row{Number: uint64(number), Json: text, Files: files}, err) {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			row(number+1, nil, err)
			return
		}
	}
}

// guarded is work, which panics where a damaged file contradicts itself.
func guarded(work func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("it is damaged: %v", cause)
		}
	}()
	return work()
}

func parquetRow(table string, cells map[string]any, schema parquet.Node) (string, map[string][]byte, error) {
	value := jsonValue(cells, schema)
	text, err := json.Marshal(value)
	if err != nil {
		return "", nil, err
	}
	files, err := named(table, value)
	return string(text), files, err
}

// jsonValue is what JSON has of a cell of a column: NaN is null, a fraction stays one where it is whole. The library gives bytes as a
// string; what they are the schema says.
func jsonValue(cell any, node parquet.Node) any {
	switch value := cell.(type) {
	case map[string]any:
		own := make(map[string]any, len(value))
		for name, each := range value {
			own[name] = jsonValue(each, child(node, name))
		}
		return own
	case []any:
		own := make([]any, len(value))
		for i, each := range value {
			own[i] = jsonValue(each, element(node))
		}
		return own
	case []byte:
		return dataURI(value)
	case string:
		if isText(node) {
			return value
		}
		return dataURI([]byte(value))
	case float32:
		return fraction(float64(value))
	case float64:
		return fraction(value)
	case nil, bool, int8, int16, int32, int64, int, uint8, uint16, uint32, uint64, uint:
		return value
	default:
		return fmt.Sprint(value)
	}
}

func dataURI(value []byte) any {
	if value == nil {
		return nil
	}
	return "data:;base64," + base64.StdEncoding.EncodeToString(value)
}

// isText tells a text from bytes; of a column that is not known a text is one.
func isText(node parquet.Node) bool {
	if node == nil || !node.Leaf() {
		return true
	}
	kind := node.Type()
	if kind.Kind() != parquet.ByteArray && kind.Kind() != parquet.FixedLenByteArray {
		return true
	}
	return kind.LogicalType() != nil || kind.ConvertedType() != nil
}

func child(node parquet.Node, name string) parquet.Node {
	if node == nil || node.Leaf() {
		return nil
	}
	for _, field := range node.Fields() {
		if field.Name() == name {
			return field
		}
	}
	return nil
}

// element is the node of what stands in a list: the only one below the only one below it, or itself where it is repeated.
func element(node parquet.Node) parquet.Node {
	if node == nil || node.Leaf() {
		return node
	}
	if list := node.Fields(); len(list) == 1 && !list[0].Leaf() {
		if elements := list[0].Fields(); len(elements) == 1 {
			return elements[0]
		}
	}
	return nil
}

func fraction(value float64) any {
	switch {
	case math.IsNaN(value):
		return nil
	case math.IsInf(value, 0):
		return strings.TrimPrefix(strconv.FormatFloat(value, 'g', -1, 64), "+")
	}
	text := strconv.FormatFloat(value, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return json.Number(text)
}
