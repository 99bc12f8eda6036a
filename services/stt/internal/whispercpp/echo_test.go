package whispercpp

import "testing"

func TestEchoes(t *testing.T) {
	const prompt = "Ask what you can do for your country. and so my fellow Americans."
	for text, want := range map[string]bool{
		"And so my fellow Americans. Ask not! What your country can do for you": true,
		"And so, my fellow Americans":                                           true,
		"so my fellow Americans, ask not":                                       true,
		"my fellow Americans, ask not":                                          false, // three words
		"Ask not what your country can do for you":                              false,
		"ask what you can do for your country":                                  false, // said before, but not last
		"Well, and so my fellow Americans are not what they were":               false,
		"": false,
	} {
		if got := echoes(prompt, text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if echoes("", "And so my fellow Americans") {
		t.Error("without a prompt")
	}
}

func TestTwice(t *testing.T) {
	for text, want := range map[string]bool{
		"and so my fellow Americans. And so, my fellow Americans!": true,
		"And so my fellow Americans, and so my fellow Canadians":   false,
		"No, no, no, no":                    false, // two words twice
		"Ask what you can do. Ask what you": false,
		"":                                  false,
	} {
		if got := twice(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
