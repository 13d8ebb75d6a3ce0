package scotoma

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

// longestName: what is longer is base64.
const longestName = 1024

const byteOrderMark = "\ufeff"

// Rows asks what stands in a file: VLMEvalKit's table (.tsv) or a manifest of one JSON object a line (.jsonl). It is read row by row, so
// that a file of any size needs the memory of one row. What the columns mean is the server's business; the client only brings the pictures
// that a row names.
func Rows(path string) Questions {
	return func(yield func(*v1.EvaluateRequest, error) bool) {
		file, err := os.Open(path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = file.Close() }()
		row := func(line int, row *v1.Row, err error) bool {
			if err != nil {
				yield(nil, fmt.Errorf("%s, line %d: %w", path, line, err))
				return false
			}
			row.Line = uint64(line)
			return yield(&v1.EvaluateRequest{Event: &v1.EvaluateRequest_Row{Row: row}}, nil)
		}
		switch filepath.Ext(path) {
		case ".tsv":
			table(file, row)
		case ".jsonl":
			manifest(file, row)
		default:
			yield(nil, fmt.Errorf("%s: a name that ends in .tsv or .jsonl is needed", path))
		}
	}
}

func tabbed(source io.Reader) *csv.Reader {
	reader := csv.NewReader(source)
	reader.Comma = '\t'
	reader.LazyQuotes = true
	return reader
}

func table(file *os.File, row func(int, *v1.Row, error) bool) {
	reader := tabbed(file)
	header, err := reader.Read()
	if err != nil {
		row(1, nil, err)
		return
	}
	header[0] = strings.TrimPrefix(header[0], byteOrderMark)
	column := slices.Index(header, "image")
	// Where rows begin, by their index: a row may name the picture of an earlier one by it.
	starts := map[string]int64{}
	for {
		start := reader.InputOffset()
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			var parse *csv.ParseError
			line := 0
			if errors.As(err, &parse) {
				line = parse.StartLine
			}
			if errors.Is(err, csv.ErrFieldCount) {
				err = fmt.Errorf("%d columns, the header has %d", len(record), len(header))
			}
			row(line, nil, err)
			return
		}
		line, _ := reader.FieldPos(0)
		cells := make(map[string]string, len(header))
		for i, name := range header {
			if !utf8.ValidString(record[i]) {
				row(line, nil, fmt.Errorf("column %s: not UTF-8", name))
				return
			}
			cells[name] = record[i]
		}
		starts[cells["index"]] = start
		if column >= 0 && isIndex(cells["image"]) {
			own, err := pictureOf(file.Name(), starts, cells["image"], column)
			if err != nil {
				row(line, nil, err)
				return
			}
			cells["image"] = own
		}
		images, err := named(file.Name(), cells["image"], cells["image_path"])
		if !row(line, &v1.Row{Cells: cells, Images: images}, err) {
			return
		}
	}
}

func manifest(file *os.File, row func(int, *v1.Row, error) bool) {
	reader := bufio.NewReader(file)
	for line := 1; ; line++ {
		text, err := reader.ReadString('\n')
		text = strings.TrimPrefix(text, byteOrderMark)
		if err != nil && !errors.Is(err, io.EOF) {
			row(line, nil, err)
			return
		}
		if strings.TrimSpace(text) != "" {
			// What is wrong with it is the server's to say.
			var object struct {
				Image     json.RawMessage `json:"image"`
				ImagePath json.RawMessage `json:"image_path"`
			}
			_ = json.Unmarshal([]byte(text), &object)
			images, err := named(file.Name(), cell(object.Image), cell(object.ImagePath))
			if !row(line, &v1.Row{Json: text, Images: images}, err) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cell is a text as it is, a list as JSON.
func cell(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

func isIndex(cell string) bool {
	return cell != "" && len(cell) <= longestName && strings.Trim(cell, "0123456789") == ""
}

func isName(cell string) bool {
	return len(cell) <= longestName && !strings.HasSuffix(cell, "=") && filepath.Ext(strings.TrimSpace(cell)) != ""
}

// pictureOf reads the picture of an earlier row again.
func pictureOf(path string, starts map[string]int64, index string, column int) (string, error) {
	start, ok := starts[index]
	if !ok {
		return "", fmt.Errorf("image: row %s does not stand before", index)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return "", err
	}
	record, err := tabbed(file).Read()
	if err != nil {
		return "", err
	}
	if column >= len(record) || isIndex(record[column]) || record[column] == "" {
		return "", fmt.Errorf("image: row %s has no picture of its own", index)
	}
	return record[column], nil
}

// named reads the pictures whose names the first cell that is not empty gives; none where it holds them itself.
func named(table string, cells ...string) ([]*v1.Image, error) {
	at := slices.IndexFunc(cells, func(cell string) bool { return cell != "" && cell != "null" })
	if at < 0 {
		return nil, nil
	}
	var listed []string
	if json.Unmarshal([]byte(cells[at]), &listed) != nil {
		listed = []string{cells[at]}
	}
	if slices.ContainsFunc(listed, func(name string) bool { return !isName(name) }) {
		return nil, nil
	}
	var images []*v1.Image
	for _, name := range listed {
		name = strings.TrimSpace(name)
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(table), name)
		}
		image, err := ReadImage(name)
		if err != nil {
			return nil, fmt.Errorf("image: %w", err)
		}
		images = append(images, image)
	}
	return images, nil
}
