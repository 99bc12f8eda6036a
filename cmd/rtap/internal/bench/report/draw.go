package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
)

// Size of a drawing, and what its axes take.
const (
	width, height     = 560.0, 220.0
	left, bottom, top = 46.0, 26.0, 8.0
	columns           = 48
	ticks             = 5
)

// dot is a figure at a moment.
type dot struct{ x, y float64 }

// canvas maps figures to places.
type canvas struct {
	strings.Builder
	fromX, toX, fromY, toY float64
}

func newCanvas(fromX, toX, fromY, toY float64) *canvas {
	c := &canvas{fromX: fromX, toX: max(toX, fromX+1e-9), fromY: fromY, toY: max(toY, fromY+1e-9)}
	fmt.Fprintf(c, `<svg viewBox="0 0 %g %g" role="img">`, width, height)
	for _, y := range steps(c.fromY, c.toY) {
		fmt.Fprintf(c, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f" stroke="var(--line)"/><text x="%g" y="%.1f" text-anchor="end">%g</text>`,
			left, width, c.y(y), c.y(y), left-5, c.y(y)+4, y)
	}
	for _, x := range steps(c.fromX, c.toX) {
		fmt.Fprintf(c, `<text x="%.1f" y="%g" text-anchor="middle">%g</text>`, c.x(x), height-8, x)
	}
	return c
}

func (c *canvas) x(v float64) float64 {
	return left + (width-left-8)*(v-c.fromX)/(c.toX-c.fromX)
}

func (c *canvas) y(v float64) float64 {
	return height - bottom - (height-bottom-top)*(v-c.fromY)/(c.toY-c.fromY)
}

// upright marks a figure of the x axis.
func (c *canvas) upright(v float64, colour, name string, row int) {
	if v < c.fromX || v > c.toX {
		return
	}
	fmt.Fprintf(c, `<line x1="%.1f" x2="%.1f" y1="%g" y2="%g" stroke="%s" stroke-dasharray="4 3"/><text x="%.1f" y="%g">%s</text>`,
		c.x(v), c.x(v), top, height-bottom, colour, c.x(v)+3, top+9+12*float64(row), name)
}

func (c *canvas) end() template.HTML {
	c.WriteString("</svg>")
	return template.HTML(c.String()) // made of numbers and of words of this file
}

// steps are round numbers from one figure to another.
func steps(from, to float64) (out []float64) {
	step := math.Pow(10, math.Floor(math.Log10((to-from)/ticks)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (to-from)/(step*m) <= ticks {
			step *= m
			break
		}
	}
	for n := math.Ceil(from / step); n*step <= to; n++ {
		out = append(out, math.Round(n*step*1e6)/1e6)
	}
	return out
}

// histogram draws counts between the 0.5th and 99.5th percentile or so; what lies beyond is
// in the outermost columns.
func histogram(figures []float64, d measure.Distribution, goal float64) template.HTML {
	low, high := min(0, d.P50-3*(d.P95-d.P50)), max(d.P99, goal)*1.1
	low = max(low, d.Min)
	if low > 0 {
		low = 0
	}
	counts := make([]float64, columns)
	most := 1.0
	for _, f := range figures {
		i := int(float64(columns) * (f - low) / (high - low))
		i = min(columns-1, max(0, i))
		counts[i]++
		most = max(most, counts[i])
	}
	c := newCanvas(low, high, 0, most)
	for i, n := range counts {
		from, to := c.x(low+(high-low)*float64(i)/columns), c.x(low+(high-low)*float64(i+1)/columns)
		fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="var(--ink)"/>`, from+.5, c.y(n), to-from-1, c.y(0)-c.y(n))
	}
	c.upright(d.P50, "currentColor", "p50", 0)
	c.upright(d.P95, "currentColor", "p95", 1)
	if goal > 0 {
		c.upright(goal, "var(--goal)", "goal", 2)
	}
	return c.end()
}

// scatter draws dots; those above a limit lie on its edge.
func scatter(dots []dot, limit float64) template.HTML {
	to, low := 1.0, 0.0
	for _, d := range dots {
		to, low = max(to, d.x), min(low, d.y)
	}
	c := newCanvas(0, to, max(low, -limit), max(1, limit*1.2))
	for _, d := range dots {
		fmt.Fprintf(c, `<circle cx="%.1f" cy="%.1f" r="2" fill="var(--ink)" fill-opacity=".6"/>`, c.x(d.x), c.y(min(d.y, c.toY)))
	}
	return c.end()
}

// line draws figures in their order.
func line(dots []dot) template.HTML {
	to, most := 1.0, 1.0
	for _, d := range dots {
		to, most = max(to, d.x), max(most, d.y)
	}
	c := newCanvas(0, to, 0, most*1.1)
	c.WriteString(`<polyline fill="none" stroke="var(--ink)" stroke-width="1.5" points="`)
	for _, d := range dots {
		fmt.Fprintf(c, "%.1f,%.1f ", c.x(d.x), c.y(d.y))
	}
	c.WriteString(`"/>`)
	return c.end()
}
