package journal

import "github.com/rtap/rtap/services/egress/internal/feed"

// Summarise writes the line of a minute in which these came by.
func (j *Journal) Summarise(messages ...feed.Message) {
	var m minute
	for _, msg := range messages {
		m.add(msg)
	}
	j.summary(&m)
}
