// Command modzip writes a module as the proxies serve it: MODULE@VERSION FOLDER ZIP.
package main

import (
	"log"
	"os"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

func main() {
	path, version, _ := strings.Cut(os.Args[1], "@")
	file, err := os.Create(os.Args[3])
	if err == nil {
		err = zip.CreateFromDir(file, module.Version{Path: path, Version: version}, os.Args[2])
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		log.Fatal(err)
	}
}
