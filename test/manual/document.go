// Package manual keeps docs/OPERATIONS.md true: it takes the commands out of the document
// and runs them.
package manual

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Block is a fenced block of commands.
type Block struct {
	Line int // of the document
	// Class says who runs it: stack, compose, monitoring or host.
	Class   string
	Section string
	Script  string
}

// Document is what is looked at of a Markdown file.
type Document struct {
	Headings []string
	Blocks   []Block
	Rows     [][]string // of tables, cell by cell
	Inline   []string   // code within the text
}

var code = regexp.MustCompile("`([^`]+)`")

// Read reads a document. Fenced blocks that are no shell's are passed over.
func Read(path string) (*Document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the document: %w", err)
	}
	defer func() { _ = f.Close() }()
	d := &Document{}
	var open *Block // the block that the line is in
	fenced := false
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		n++
		if info, ok := strings.CutPrefix(line, "```"); ok {
			switch {
			case fenced && open != nil:
				d.Blocks = append(d.Blocks, *open)
				open = nil
			case !fenced:
				if class, shell := strings.CutPrefix(info, "bash"); shell {
					open = &Block{Line: n, Class: strings.TrimSpace(class), Section: d.section()}
				}
			}
			fenced = !fenced
			continue
		}
		switch {
		case open != nil:
			open.Script += line + "\n"
		case fenced:
		case strings.HasPrefix(line, "#"):
			d.Headings = append(d.Headings, line)
		default:
			d.text(line)
		}
	}
	if fenced {
		return nil, fmt.Errorf("%s: a block is not closed", path)
	}
	return d, nil
}

func (d *Document) section() string {
	if len(d.Headings) == 0 {
		return ""
	}
	return strings.TrimLeft(d.Headings[len(d.Headings)-1], "# ")
}

func (d *Document) text(line string) {
	for _, m := range code.FindAllStringSubmatch(line, -1) {
		d.Inline = append(d.Inline, m[1])
	}
	if !strings.HasPrefix(line, "|") {
		return
	}
	var cells []string
	// A bar within a cell stands behind a backslash.
	for cell := range strings.SplitSeq(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00"), "|") {
		cells = append(cells, strings.TrimSpace(strings.ReplaceAll(cell, "\x00", "|")))
	}
	d.Rows = append(d.Rows, cells)
}

// Of returns the blocks of a class, in their order.
func (d *Document) Of(class string) []Block {
	var out []Block
	for _, b := range d.Blocks {
		if b.Class == class {
			out = append(out, b)
		}
	}
	return out
}

// Calls lists the words behind each `rtap` in the blocks and in the text.
func (d *Document) Calls() [][]string {
	var out [][]string
	for _, b := range d.Blocks {
		out = append(out, calls(b.Script)...)
	}
	for _, inline := range d.Inline {
		out = append(out, calls(inline)...)
	}
	return out
}

var separators = regexp.MustCompile(`[;|&\n]|\$\(`)

func calls(script string) [][]string {
	var out [][]string
	for _, part := range separators.Split(strings.ReplaceAll(script, "\\\n", " "), -1) {
		words := strings.Fields(part)
		for i, w := range words {
			if (w == "rtap" || w == "bin/rtap") && i+1 < len(words) && (i == 0 || before(words[i-1])) {
				out = append(out, words[i+1:])
				break
			}
		}
	}
	return out
}

// before: rtap stands behind it and is a command all the same.
func before(word string) bool {
	return word == "rtap-main" || word == "rtap-standby" || word == "rtap:latest" || word == "'rtap" || strings.Contains(word, "=")
}
