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
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

// longestName: what is longer is base64.
const longestName = 1024

const longestRow = 256 << 20

// endings are those of files that a row may name, and that are sent with it.
var endings = strings.Fields(".png .jpg .jpeg .jpe .jfif .webp .gif .bmp .tif .tiff .ppm .jp2 .avif .heic")

var quoted = regexp.MustCompile(`'[^'\n]+'|"[^"\n]+"`)

const byteOrderMark = "\ufeff"

// Rows asks what stands in a file: a table (.tsv, .csv, .parquet) or a manifest of one JSON object a line (.jsonl). It is read row by row,
// so that a text file of any size needs the memory of one row, a Parquet file that of one row group. What the columns mean is the server's
// business; the client only brings the pictures that a row names.
func Rows(path string) Questions {
	return func(yield func(*v1.EvaluateRequest, error) bool) {
		file, err := os.Open(path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = file.Close() }()
		ending, number := filepath.Ext(path), uint64(0)
		row := func(at int, row *v1.Row, err error) bool {
			if err != nil {
				unit := "line"
				if ending == ".parquet" {
					unit = "row"
				}
				yield(nil, fmt.Errorf("%s, %s %d: %w", path, unit, at, err))
				return false
			}
			if ending != ".parquet" {
				row.Line = uint64(at)
			}
			number++
			row.Number = number
			return yield(&v1.EvaluateRequest{Event: &v1.EvaluateRequest_Row{Row: row}}, nil)
		}
		switch ending {
		case ".tsv", ".csv":
			table(file, row)
		case ".jsonl":
			manifest(file, row)
		case ".parquet":
			parquetTable(file, row)
		default:
			yield(nil, fmt.Errorf("%s: a name that ends in .tsv, .csv, .jsonl or .parquet is needed", path))
		}
	}
}

func delimited(source io.Reader, path string) *csv.Reader {
	reader := csv.NewReader(source)
	if filepath.Ext(path) == ".tsv" {
		reader.Comma = '\t'
	}
	reader.LazyQuotes = true
	return reader
}

func table(file *os.File, row func(int, *v1.Row, error) bool) {
	reader := delimited(file, file.Name())
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
		files, err := named(file.Name(), cells)
		if !row(line, &v1.Row{Cells: cells, Files: files}, err) {
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
			var object any
			if json.Unmarshal([]byte(text), &object) != nil {
				// Python writes it for nothing.
				_ = json.Unmarshal([]byte(strings.ReplaceAll(text, "NaN", "null")), &object)
			}
			files, err := named(file.Name(), object)
			if !row(line, &v1.Row{Json: text, Files: files}, err) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func isIndex(cell string) bool {
	return cell != "" && len(cell) <= longestName && strings.Trim(cell, "0123456789") == ""
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
	record, err := delimited(file, path).Read()
	if err != nil {
		return "", err
	}
	if column >= len(record) || isIndex(record[column]) || record[column] == "" {
		return "", fmt.Errorf("image: row %s has no picture of its own", index)
	}
	return record[column], nil
}

// names gives what may be names of pictures in a row: texts, and those quoted in a text that is a list.
func names(value any, name func(string)) {
	switch value := value.(type) {
	case map[string]string:
		for _, each := range value {
			names(each, name)
		}
	case map[string]any:
		for _, each := range value {
			names(each, name)
		}
	case []any:
		for _, each := range value {
			names(each, name)
		}
	case string:
		text := strings.TrimSpace(value)
		switch {
		case strings.HasPrefix(text, "[") || strings.HasPrefix(text, "(") || strings.HasPrefix(text, "{"):
			if len(text) <= 64*longestName {
				for _, found := range quoted.FindAllString(text, -1) {
					name(strings.TrimSpace(found[1 : len(found)-1]))
				}
			}
		case len(text) <= longestName:
			name(text)
		}
	}
}

// named reads the pictures beside the table that a row names, by these names.
func named(table string, row any) (map[string][]byte, error) {
	files := map[string][]byte{}
	var failed error
	names(row, func(name string) {
		if _, there := files[name]; there || failed != nil || !slices.Contains(endings, strings.ToLower(filepath.Ext(name))) {
			return
		}
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(table), path)
		}
		about, err := os.Stat(path)
		if err != nil || !about.Mode().IsRegular() {
			return
		}
		if about.Size() > longestRow {
			failed = fmt.Errorf("image: %s: more than %d bytes", path, longestRow)
			return
		}
		files[name], failed = os.ReadFile(path)
	})
	return files, failed
}
