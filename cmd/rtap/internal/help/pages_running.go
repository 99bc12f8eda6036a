package help

var running = []Page{
	{
		Name: "up", Group: Running, Summary: "run the whole pipeline on this machine",
		Synopsis: []string{"[--source URI]… [--stt N] [--standby] [--nats URL] [--data-dir DIR] [--until-done] [--json] [FLAGS]"},
		About: `
Starts a NATS server (unless --nats names one) and a process for each service, starts again
what dies, prints finals on standard output and everything else on standard error. SIGINT or
SIGTERM ends it in order; a second one at once. SIGHUP makes the processes read the
configuration again. --standby runs a second gateway: its HTTP port is one above the first's,
its others ten above.`,
		Examples: []Example{
			{"rtap up", "the microphone, until Ctrl-C"},
			{"rtap up --source file:talk.wav --until-done --json", "a recording; ends when its last final is out"},
			{"rtap up --standby", "and a second gateway, on 8081, 5812, 6562 and 6563, that takes over when the first dies"},
			{"rtap up --source mock --stt 2 --data-dir /var/lib/rtap", "a recording with pauses, two recognisers, its data elsewhere"},
		},
	},
	{
		Name: "tail", Group: Running, Summary: "transcripts as they come",
		Synopsis: []string{"[--json] [--stream ID] [--from-seq N] [--nats URL] [FLAGS]"},
		Examples: []Example{
			{"rtap tail", "every final of every stream from now on"},
			{"rtap tail --json --stream mic --from-seq 1", "one stream from its first final, then on as they come"},
		},
	},
	{
		Name: "tap", Group: Running, Summary: "any subject of the bus, decoded",
		Synopsis: []string{"[SUBJECT] [--nats URL] [FLAGS]"},
		About: `
SUBJECT is one of NATS, wildcards included; without one everything is shown. Audio is shown
as its number of samples.`,
		Examples: []Example{
			{"rtap tap 'rtap.v1.job.>'", "closed segments and drafts on their way to a recogniser"},
			{"rtap tap 'rtap.v1.event.>'", "state changes, configuration changes, errors"},
		},
	},
	{
		Name: "top", Group: Running, Summary: "processes, queues, streams and latency, live",
		Synopsis: []string{"[--interval 2s] [--once | --json] [--nats URL] [FLAGS]"},
		About: `
CPU is in per cent of one core, memory is resident. Latencies are quantiles over the finals
since the last look; with --once and --json over all since the gateway started. Keys: q ends
it, space looks at once.`,
		Examples: []Example{
			{"rtap top", "live, until q"},
			{"rtap top --once", "one look, for a terminal or a mail"},
			{"rtap top --json", "one look, for a script"},
		},
		Exit: []Exit{{1, "nothing answers: neither a process of RTAP nor the NATS server"}},
	},
	{
		Name: "failover", Group: Running, Summary: "make another gateway the active one",
		Synopsis: []string{"[--wait 5s] [--json] [--nats URL] [FLAGS]"},
		About: `
Every gateway serves its subscribers all the time; the active one also gives finals their
numbers and removes old ones. It is asked to give that up, and a standby takes it. Clients
notice nothing. Before an update or a stop of the active gateway nothing needs to be done: its
standby takes over by itself.`,
		Examples: []Example{
			{"rtap failover", "says which gateway was active, which one is, and how long it took"},
			{"rtap failover --json", "for a script: {from, to, ms}"},
		},
		Exit: []Exit{{1, "there is no standby, or none took over within --wait"}},
	},
}

var looking = []Page{
	{
		Name: "doctor", Group: Looking, Summary: "what is wrong on this machine, and what to do",
		Synopsis: []string{"[--json] [--data-dir DIR] [--backups DIR] [FLAGS]"},
		About: `
Looks at configuration, programs, models, memory, audio, ports, NATS, disk, backups, logs,
clock and limits, before a start or beside a running pipeline, on a host or in a container.`,
		Examples: []Example{
			{"rtap doctor", "everything, with advice where something is wrong"},
			{"rtap doctor --json", "an array of {name, status, detail, advice}"},
		},
		Exit: []Exit{{1, "at least one finding is a failure"}},
	},
	{
		Name: "verify", Group: Looking, Summary: "end-to-end self test against the running pipeline",
		Synopsis: []string{"[--host HOST[:PORT]] [--standby HOST:PORT] [--clip FILE] [--json] [FLAGS]"},
		About: `
Connects as a user does, over HTTP, WebSocket and ZeroMQ: health of every stage, metrics, a
known recording through an ingest stream of its own, its words on both feeds, numbering
without holes, replay, and the same from the standby where there is one. The stream is called
verify-…; its finals stay in the log as any others do. A gateway's other ports are told by that of
its /health, where that is configured or usual (8080, 8081 …); else all four are named.`,
		Examples: []Example{
			{"rtap verify", "the gateway that the configuration names"},
			{"rtap verify --host rtap-main --standby rtap-standby:8081 --json", "both gateways of the compose stack, for a script"},
			{"rtap verify --host localhost:28080,25802,26552,26553", "one on ports of its own: HTTP, WebSocket, events, transcripts"},
		},
		Exit: []Exit{{1, "at least one check failed; the list says which and why"}},
	},
	{
		Name: "diagnostics", Group: Looking, Summary: "everything that a report of a fault should hold",
		Synopsis: []string{"[-o FILE.tar.gz] [--since 1h] [--nats URL] [FLAGS]"},
		About: `
Versions, configuration without secrets, health, metrics, streams and consumers, last logs,
processes and resources, events, given-up jobs, goroutines. Each part that cannot be had,
because half of the pipeline is down, says so and why. The text goes to standard output; with
-o the same comes as an archive, in files.`,
		Examples: []Example{
			{"rtap diagnostics > rtap-diagnostics.txt", "as text"},
			{"rtap diagnostics -o rtap-diagnostics.tar.gz", "as an archive to attach to a report"},
		},
	},
	{
		Name: "profile", Group: Looking, Summary: "where running processes spend time and memory",
		Synopsis: []string{"cpu|heap|allocs|goroutines|mutex|block [--process NAME] [-d 30s] [-o FILE] [FLAGS]", "heap --watch [--interval 10s] [--process NAME]"},
		About: `
Without -o a table of the functions that cost most. -o takes the form from the name: .svg and
.html are flame graphs that open in any browser, offline; .pb.gz is for "go tool pprof"; .txt
is the table. Without --process all processes are in one picture, each at its own root. Native
code (the recognisers) shows as the Go function that calls it.`,
		Examples: []Example{
			{"rtap profile cpu -d 30s -o profile.svg", "a flame graph of the whole pipeline over half a minute"},
			{"rtap profile cpu --process stt -o stt.pb.gz", "only the recognisers, for go tool pprof"},
			{"rtap profile goroutines --process egress", "what the gateway waits for"},
			{"rtap profile heap --watch", "memory of every process, and which functions' share grows"},
		},
	},
	{
		Name: "healthcheck", Group: Looking, Summary: "is the process in this container ready?",
		Synopsis: []string{"[capture|vad|stt|egress|nats]… [--live] [FLAGS]"},
		About: `
Asks the process on its socket, or NATS for its version. Without a name it asks every process
of RTAP that runs here. --live is content with one that answers, ready or not.`,
		Examples: []Example{
			{"rtap healthcheck", "for HEALTHCHECK in a container"},
			{"rtap healthcheck stt --live", "for a liveness probe"},
		},
		Exit: []Exit{{1, "not ready, or nobody answers; one line says why"}},
	},
	{
		Name: "devices", Group: Looking, Summary: "capture devices",
		Synopsis: []string{"[--json]"},
		Examples: []Example{{"rtap devices", "their names and ids, for --source mic:NAME and AUDIO_DEVICE"}},
	},
}
