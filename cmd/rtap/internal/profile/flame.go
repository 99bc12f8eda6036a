package profile

import (
	_ "embed"
	"encoding/xml"
	"fmt"
	"hash/fnv"
	"io"
	"strings"
)

// flameScript zooms on a click and marks what a search finds, in the picture alone.
//
//go:embed flame.js
var flameScript string

const (
	flameWidth  = 1200.0
	rowHeight   = 18
	flameTop    = 44 // room for the title and the search
	leastWidth  = 0.15
	letterWidth = 6.6 // of the font at its size
)

// writeSVG draws a flame graph, the callers above what they call. It holds all that it
// needs, so that it opens without a network.
func writeSVG(w io.Writer, title string, root *frame, _ []taken) error {
	f := flame{w: w, root: root, scale: flameWidth / float64(max(1, root.total))}
	height := flameTop + (depth(root)+1)*rowHeight + 8
	f.printf(`<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="%g" height="%d" viewBox="0 0 %g %d" font-family="ui-monospace,Menlo,Consolas,monospace" font-size="11">`+"\n",
		flameWidth, height, flameWidth, height)
	f.printf("<style>.frame{cursor:pointer} .frame:hover rect{stroke:#333} .found rect{fill:#c2f} .dim{opacity:.5}</style>\n")
	f.printf(`<rect width="100%%" height="100%%" fill="#fdfcf7"/>` + "\n")
	f.printf(`<text x="8" y="18" font-size="14">%s, %s</text>`+"\n", escape(title), escape(amount(root.total, root.unit)))
	f.printf(`<text id="detail" x="8" y="36" fill="#555">click: zoom in; click above: zoom out; / or Ctrl-F: search</text>` + "\n")
	f.draw(root, 0, 0)
	f.printf("<script><![CDATA[\n%s\n]]></script>\n</svg>\n", flameScript)
	return f.err
}

// writeHTML is a page around the picture.
func writeHTML(w io.Writer, title string, root *frame, all []taken) error {
	if _, err := fmt.Fprintf(w, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>"+
		"<style>body{margin:0;background:#fdfcf7} svg{width:100%%;height:auto}</style></head><body>\n", escape(title)); err != nil {
		return err
	}
	if err := writeSVG(w, title, root, all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "</body></html>\n")
	return err
}

// flame draws; the first error of writing stays.
type flame struct {
	w     io.Writer
	root  *frame
	scale float64
	err   error
}

func (f *flame) printf(format string, args ...any) {
	if f.err == nil {
		_, f.err = fmt.Fprintf(f.w, format, args...)
	}
}

// draw puts a frame at x, in units of the profile, and what it calls below it.
func (f *flame) draw(at *frame, level int, x int64) {
	left, width := float64(x)*f.scale, float64(at.total)*f.scale
	if width < leastWidth {
		return // it could not be seen, and there are thousands of them
	}
	what := at.name
	if at.where != "" {
		what += " (" + at.where + ")"
	}
	y := flameTop + level*rowHeight
	f.printf(`<g class="frame" data-x="%.3f" data-w="%.3f" data-l="%d" data-n="%s"><title>%s: %s, %.1f %%</title>`,
		left, width, level, escape(at.name), escape(what), escape(amount(at.total, f.root.unit)), share(at.total, f.root.total))
	f.printf(`<rect x="%.2f" y="%d" width="%.2f" height="%d" fill="%s" rx="1"/><text x="%.2f" y="%d">%s</text></g>`+"\n",
		left, y, width, rowHeight-1, colour(at.name, level), left+3, y+13, escape(fit(at.name, width)))
	for _, c := range at.children {
		f.draw(c, level+1, x)
		x += c.total
	}
}

func depth(f *frame) int {
	deepest := 0
	for _, c := range f.children {
		deepest = max(deepest, 1+depth(c))
	}
	return deepest
}

// fit cuts a name to what a box holds; the end of a Go name tells most.
func fit(name string, width float64) string {
	letters := int((width - 6) / letterWidth)
	runes := []rune(name)
	switch {
	case letters < 3:
		return ""
	case len(runes) <= letters:
		return name
	}
	return "…" + string(runes[len(runes)-letters+1:])
}

// colour is the same for a package wherever it stands; processes are grey.
func colour(name string, level int) string {
	if level < 2 {
		return "#d5d2c8"
	}
	h := fnv.New32a()
	pkg := name
	if slash := strings.LastIndex(name, "/"); slash >= 0 {
		pkg = name[slash:]
	}
	pkg, _, _ = strings.Cut(pkg, ".")
	_, _ = h.Write([]byte(pkg))
	n := h.Sum32()
	return fmt.Sprintf("hsl(%d,%d%%,%d%%)", n%70, 70+n/70%20, 62+n/1400%16)
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // into memory
	return b.String()
}
