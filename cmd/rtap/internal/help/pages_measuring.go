package help

var measuring = []Page{
	{
		Name: "bench", Group: Measuring, Summary: "recordings with known ends of speech through the real processes: latency, accuracy, CPU, memory",
		Synopsis: []string{"[--streams N] [--stt N] [--duration 5m] [--json FILE] [--html FILE] [--compare FILE] [FLAGS]", "COMMAND [FLAGS]"},
		About: `
Runs a pipeline of its own (or takes the one of --nats), lets it hear recordings in real time,
and measures from outside, as a subscriber, against the goals: latencies, words, loss, CPU and
memory. It takes all the cores that it gets, so not beside a pipeline in production. Its data
and recordings go into the folder for temporary files, TMPDIR or /tmp, and are removed.`,
		Examples: []Example{
			{"rtap bench --duration 2m", "one stream that always talks"},
			{"rtap bench --utterances 300 --idle 5m --html now.html", "figures to publish; the CPU without interims needs --interims=false beside it"},
			{"rtap bench --streams 16 --stt 2 --json now.json --compare before.json", "sixteen, and what got better or worse"},
			{"docker run --rm rtap:latest rtap bench --duration 2m", "in a container of its own; a gateway's has too little room in /tmp"},
		},
		Exit: []Exit{{1, "it failed, or with --strict a goal was missed"}},
	},
	{
		Name: "bench latency", Summary: "the same in a minute, with one stream",
		Synopsis: []string{"[--duration 1m] [--json FILE] [--compare FILE] [--strict] [FLAGS]"},
		Examples: []Example{
			{"rtap bench latency", "latencies and words of one stream that always talks, in a minute"},
			{"rtap bench latency --duration 10s --strict", "the shortest look; fails when a goal is missed"},
			{"docker run --rm rtap:latest rtap bench latency", "in a container of its own; a gateway's has too little room in /tmp"},
		},
		Exit: []Exit{{1, "it failed, or with --strict a goal was missed"}},
	},
	{
		Name: "bench stress", Summary: "how many streams this machine holds, and what bursts above that do",
		Synopsis: []string{"[--max N] [--goal MS] [--factors LIST] [--burst 20s] [--after 30s] [--recovery 10m] [FLAGS]", "--capacity N [--factors LIST] [FLAGS]"},
		About: `
Doubles the streams until 95 of 100 finals are no longer out within --goal, and then halves the
difference. Then it lets --factors times that number talk for the time of --burst, while one
stream goes on for --after, and states when the queue is empty, when finals are in time again,
what was shed, and that nothing was lost.`,
		Examples: []Example{
			{"rtap bench stress --max 32", "the number of streams, and bursts of 2 and 10 times that"},
			{"rtap bench stress --max 16 --factors none", "only the number"},
			{"rtap bench stress --capacity 12 --factors 2,5 --burst 1m --recovery 20m", "only bursts, above a number that is known"},
		},
		Exit: []Exit{{1, "it was interrupted, or its result could not be written; a step that fails is a line of the table"}},
	},
	{
		Name: "bench capacity", Summary: "what so many streams need of CPU, memory, disk and network, computed from a measurement",
		Synopsis: []string{"FILE [FILE] [--streams N] [--talk SHARE] [--keep 10m] [--json]"},
		About: `
FILE is what ` + "`rtap bench --json`" + ` wrote. Memory is what it says; with a second FILE, of another number
of streams and nothing else changed, it is computed for --streams, and what a stream adds is told.`,
		Examples: []Example{
			{"rtap bench capacity now.json --streams 40 --talk 0.3", "forty streams in which somebody speaks a third of the time"},
			{"rtap bench capacity one.json eight.json --streams 40", "with the memory that forty take, by process"},
		},
		Exit: []Exit{{2, "wrong arguments, or a file that the bench did not write"}},
	},
	{
		Name: "bench endpointing", Summary: "what closes segments, and what it costs in words",
		Synopsis: []string{"[--hangovers LIST] [--offsets LIST] [--contexts on,off] [--clips DIR] [--json FILE] [FLAGS]"},
		About: `
As fast as the pipeline takes the audio, without drafts. With --set stt.speculate=true there are
some, and the audio is played in real time: that is how vad.eager_hangover_ms is measured.`,
		Examples: []Example{
			{"rtap bench endpointing --hangovers 96,160 --offsets 0.5 --contexts on", "two lines of the table"},
			{"rtap bench endpointing --hangovers 320 --offsets 0.9 --contexts on --phases 0 --set stt.speculate=true --set vad.eager_hangover_ms=96",
				"what closing at a sentence's end gives, and cuts"},
		},
	},
	{
		Name: "bench utterances", Summary: "write what the bench plays, cut at its ends of speech, for other recognisers to hear",
		Synopsis: []string{"--out DIR [--streams N] [--duration 5m] [--seed N] [--clips DIR]"},
		About:    "The same as `rtap bench` plays with the same flags and --labels none; utterances.json holds texts and ends of speech.",
		Examples: []Example{{"rtap bench utterances --out cut --streams 4 --duration 2m", "cut/bench-…-0001.wav and so on, and cut/utterances.json"}},
	},
	{
		Name: "bench noise", Summary: "sounds that are no speech through the whole pipeline; each text is an invented one",
		Synopsis: []string{"[--duration DURATION] [FLAGS]"},
		Examples: []Example{{"rtap bench noise --duration 10m", "fans, keyboards, music, hum, breath, silence, at three levels"}},
		Exit:     []Exit{{1, "a text came, or it failed"}},
	},
	{
		Name: "bench engines", Summary: "word error rate, time, memory and invented text of every model here",
		Synopsis: []string{"[--models NAMES] [--clips DIR] [--runs N] [--noise DURATION] [--json] [FLAGS]"},
		Examples: []Example{{"rtap bench engines --clips talks --noise 10m", "with recordings of your own, and ten minutes of sounds that are no speech"}},
		Exit:     []Exit{{1, "a model could not be measured; the table has the others"}},
	},
}
