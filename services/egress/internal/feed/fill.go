package feed

// Fill says how full the fullest of the subscribers' queues is, 0 to 1.
func (h *Hub) Fill() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	fullest := 0.0
	for q := range h.subs {
		fullest = max(fullest, float64(len(q))/float64(cap(q)))
	}
	return fullest
}
