// Package config holds every setting of every RTAP process, its default and its rule.
//
// Values come from the built-in defaults, then config/default.yaml, the overlay named by
// RTAP_ENVIRONMENT, RTAP_<SECTION>__<KEY> variables, and --set flags, each over the one
// before. Unknown keys and bad values are errors that say where they stand.
package config

import (
	"strconv"
	"time"
)

// Config is the whole configuration. A field's yaml tag is its key; its rule tag lists
// what is allowed: "min=N", "max=N", "oneof=a|b|c", "channel", "required". A live tag marks
// what a running process takes over, by `rtap config set` or SIGHUP.
type Config struct {
	Profile         string        `yaml:"profile"`
	NATS            NATS          `yaml:"nats"`
	Streams         Streams       `yaml:"streams"`
	Audio           Audio         `yaml:"audio"`
	VAD             VAD           `yaml:"vad"`
	STT             STT           `yaml:"stt"`
	Resilience      Resilience    `yaml:"resilience"`
	Egress          Egress        `yaml:"egress"`
	HTTP            HTTP          `yaml:"http"`
	Log             Log           `yaml:"log"`
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" rule:"min=100ms"`
}

// NATS says how to reach the bus, and how `rtap up` runs its own server.
type NATS struct {
	URL           string        `yaml:"url" rule:"required" secret:"within"`
	Credentials   string        `yaml:"credentials"`
	User          string        `yaml:"user"`
	Password      string        `yaml:"password" secret:"true"`
	InboxPrefix   string        `yaml:"inbox_prefix" rule:"required"`
	ReconnectWait time.Duration `yaml:"reconnect_wait" rule:"min=10ms"`
	PingInterval  time.Duration `yaml:"ping_interval" rule:"min=100ms"`
	Replicas      int           `yaml:"replicas" rule:"min=1,max=5"`
	Embedded      Embedded      `yaml:"embedded"`
}

// Embedded configures the server that `rtap up` starts.
type Embedded struct {
	Listen       string `yaml:"listen" rule:"required"`
	Port         int    `yaml:"port" rule:"min=-1,max=65535"`
	MaxStorageMB int    `yaml:"max_storage_mb" rule:"min=64"`
	MaxMemoryMB  int    `yaml:"max_memory_mb" rule:"min=16"`
}

// Streams bounds what JetStream keeps.
type Streams struct {
	Audio       Retention `yaml:"audio"`
	Ingest      Retention `yaml:"ingest"`
	Jobs        Retention `yaml:"jobs"`
	Results     Retention `yaml:"results"`
	Transcripts Retention `yaml:"transcripts"`
	Dead        Retention `yaml:"dead"`
	Events      Retention `yaml:"events"`
}

// ReservedMB is what JetStream sets aside for the streams on disk.
func (s Streams) ReservedMB() int {
	return s.Audio.MaxMB + s.Ingest.MaxMB + s.Jobs.MaxMB + s.Results.MaxMB + s.Transcripts.MaxMB + s.Dead.MaxMB + s.Events.MaxMB
}

// Retention is an age (0: no limit) and a size.
type Retention struct {
	MaxAge time.Duration `yaml:"max_age" rule:"min=0s"`
	MaxMB  int           `yaml:"max_mb" rule:"min=1"`
}

// Audio configures capture.
type Audio struct {
	Sources          []string `yaml:"sources"`
	Device           string   `yaml:"device"`
	Mock             bool     `yaml:"mock"`
	Channel          string   `yaml:"channel" rule:"channel"`
	Backend          string   `yaml:"backend" rule:"oneof=auto|alsa|pulseaudio|jack"`
	RingBufferSizeMS int      `yaml:"ring_buffer_size_ms" rule:"min=200,max=600000"`
	FastLeadMS       int      `yaml:"fast_lead_ms" rule:"min=30000,max=600000"`
}

// ChannelNumber is the channel that is heard alone, from 1; 0 is the mean of all.
func (a Audio) ChannelNumber() int {
	n, _ := strconv.Atoi(a.Channel)
	return n
}

// VAD configures speech detection and endpointing.
type VAD struct {
	OnsetThreshold  float64 `yaml:"onset_threshold" rule:"min=0.01,max=0.99"`
	OffsetThreshold float64 `yaml:"offset_threshold" rule:"min=0.01,max=0.99"`
	DropDB          float64 `yaml:"drop_db" rule:"min=0,max=96"`
	PreRollMS       int     `yaml:"pre_roll_ms" rule:"min=0,max=2000"`
	HangoverMS      int     `yaml:"hangover_ms" rule:"min=0,max=5000"`
	EagerHangoverMS int     `yaml:"eager_hangover_ms" rule:"min=0,max=5000"`
	EagerSentence   float64 `yaml:"eager_sentence" rule:"min=0,max=1"`
	TailMS          int     `yaml:"tail_ms" rule:"min=0,max=5000"`
	MinSpeechMS     int     `yaml:"min_speech_ms" rule:"min=0,max=2000"`
	MaxSegmentMS    int     `yaml:"max_segment_ms" rule:"min=2000,max=15000"`
	UtteranceEndMS  int     `yaml:"utterance_end_ms" rule:"min=64,max=60000"`
	LevelIntervalMS int     `yaml:"level_interval_ms" rule:"min=32,max=60000"`

	ForgetEndedAfter time.Duration `yaml:"forget_ended_after" rule:"min=1m"`
}

// STT configures the recogniser.
type STT struct {
	Model             string        `yaml:"model" rule:"required" live:"true"`
	FallbackModel     string        `yaml:"fallback_model"`
	Language          string        `yaml:"language" rule:"required" live:"true"`
	Task              string        `yaml:"task" rule:"oneof=transcribe|translate" live:"true"`
	Threads           int           `yaml:"threads" rule:"min=0,max=256" live:"true"`
	BeamSize          int           `yaml:"beam_size" rule:"min=1,max=8" live:"true"`
	ComputeDtype      string        `yaml:"compute_dtype" rule:"oneof=auto|float16|int8|q8_0|q5_1" live:"true"`
	InterimIntervalMS int           `yaml:"interim_interval_ms" rule:"min=0,max=10000"`
	Speculate         bool          `yaml:"speculate"`
	Context           bool          `yaml:"context"`
	ContextMS         int           `yaml:"context_ms" rule:"min=1000,max=15000"`
	ShedContextMS     int           `yaml:"shed_context_ms" rule:"min=0,max=60000"`
	MaxDeliveries     int           `yaml:"max_deliveries" rule:"min=1,max=100"`
	AckWait           time.Duration `yaml:"ack_wait" rule:"min=1s"`
	JobTimeout        time.Duration `yaml:"job_timeout" rule:"min=1ms"`
}

// Resilience bounds what runs at once.
type Resilience struct {
	Bulkhead       Bulkhead       `yaml:"bulkhead"`
	CircuitBreaker CircuitBreaker `yaml:"circuit_breaker"`
}

// CircuitBreaker keeps work from an engine that only fails.
type CircuitBreaker struct {
	Failures int           `yaml:"failures" rule:"min=1,max=1000"`
	OpenFor  time.Duration `yaml:"open_for" rule:"min=100ms"`
}

// Bulkhead bounds inferences in one process.
type Bulkhead struct {
	MaxConcurrent int `yaml:"max_concurrent" rule:"min=0,max=64"`
}

// Egress configures the gateway.
type Egress struct {
	Listen    string    `yaml:"listen" rule:"required"`
	HTTPPort  int       `yaml:"http_port" rule:"min=0,max=65535"`
	WebSocket WebSocket `yaml:"websocket"`
	ListenAPI ListenAPI `yaml:"listen_api"`
	ZMQ       ZMQ       `yaml:"zmq"`
	AuthToken string    `yaml:"auth_token" secret:"true"`
}

// WebSocket configures /stream.
type WebSocket struct {
	Port           int           `yaml:"port" rule:"min=0,max=65535"`
	QueueMessages  int           `yaml:"queue_messages" rule:"min=8"`
	WriteTimeout   time.Duration `yaml:"write_timeout" rule:"min=100ms"`
	PingInterval   time.Duration `yaml:"ping_interval" rule:"min=100ms"`
	AllowedOrigins []string      `yaml:"allowed_origins"`
	MaxClients     int           `yaml:"max_clients" rule:"min=1,max=100000"`
}

// ListenAPI configures /v1/listen.
type ListenAPI struct {
	Enabled      bool          `yaml:"enabled"`
	MaxStreams   int           `yaml:"max_streams" rule:"min=1,max=10000"`
	IdleTimeout  time.Duration `yaml:"idle_timeout" rule:"min=1s"`
	StoreTimeout time.Duration `yaml:"store_timeout" rule:"min=1s"`
	MaxMessageKB int           `yaml:"max_message_kb" rule:"min=1,max=65536"`
}

// ZMQ configures the two PUB sockets.
type ZMQ struct {
	TranscriptPort int  `yaml:"transcript_port" rule:"min=0,max=65535"`
	EventPort      int  `yaml:"event_port" rule:"min=0,max=65535"`
	Interims       bool `yaml:"interims"`
	HighWaterMark  int  `yaml:"high_water_mark" rule:"min=1"`
}

// HTTP holds the addresses of each process's own /healthz, /readyz and /metrics.
type HTTP struct {
	Capture string `yaml:"capture"`
	VAD     string `yaml:"vad"`
	STT     string `yaml:"stt"`
}

// Log configures logging.
type Log struct {
	Level  string `yaml:"level" rule:"oneof=DEBUG|INFO|WARN|WARNING|ERROR" live:"true"`
	Format string `yaml:"format" rule:"oneof=auto|text|json"`
	Dir    string `yaml:"dir"`
}

// Default returns the built-in values; config/default.yaml says the same.
func Default() *Config {
	return &Config{
		Profile: "balanced",
		NATS: NATS{
			URL: "nats://127.0.0.1:4222", InboxPrefix: "_INBOX", ReconnectWait: 200 * time.Millisecond,
			PingInterval: 2 * time.Second, Replicas: 1,
			Embedded: Embedded{Listen: "127.0.0.1", Port: 4222, MaxStorageMB: 4096, MaxMemoryMB: 256},
		},
		Streams: Streams{
			Audio:       Retention{10 * time.Minute, 1024},
			Ingest:      Retention{10 * time.Minute, 256},
			Jobs:        Retention{0, 512},
			Results:     Retention{0, 128},
			Transcripts: Retention{7 * 24 * time.Hour, 512},
			Dead:        Retention{7 * 24 * time.Hour, 256},
			Events:      Retention{7 * 24 * time.Hour, 64},
		},
		Audio: Audio{
			Sources: []string{"mic"}, Device: "default", Channel: "mix", Backend: "auto",
			RingBufferSizeMS: 4000, FastLeadMS: 60000,
		},
		VAD: VAD{
			OnsetThreshold: 0.5, OffsetThreshold: 0.9, DropDB: 35, PreRollMS: 256, HangoverMS: 0, EagerHangoverMS: 0, EagerSentence: 0.5, TailMS: 0,
			MinSpeechMS: 128, MaxSegmentMS: 15000, UtteranceEndMS: 1000, LevelIntervalMS: 1000, ForgetEndedAfter: time.Hour,
		},
		STT: STT{
			Model: "auto", Language: "en", Task: "transcribe", Threads: 0, BeamSize: 1, ComputeDtype: "auto",
			InterimIntervalMS: 300, Speculate: true, Context: true, ContextMS: 10000, ShedContextMS: 50, MaxDeliveries: 5, AckWait: 5 * time.Second, JobTimeout: 60 * time.Second,
		},
		Resilience: Resilience{Bulkhead: Bulkhead{MaxConcurrent: 0}, CircuitBreaker: CircuitBreaker{Failures: 3, OpenFor: 10 * time.Second}},
		Egress: Egress{
			Listen: "127.0.0.1", HTTPPort: 8080,
			WebSocket: WebSocket{Port: 5802, QueueMessages: 256, WriteTimeout: 5 * time.Second, PingInterval: 20 * time.Second, MaxClients: 1000},
			ListenAPI: ListenAPI{Enabled: true, MaxStreams: 64, IdleTimeout: 10 * time.Second, StoreTimeout: 30 * time.Second, MaxMessageKB: 1024},
			ZMQ:       ZMQ{TranscriptPort: 6553, EventPort: 6552, HighWaterMark: 1000},
		},
		HTTP:            HTTP{Capture: "127.0.0.1:9101", VAD: "127.0.0.1:9102", STT: "127.0.0.1:9103"},
		Log:             Log{Level: "INFO", Format: "auto"},
		ShutdownTimeout: 10 * time.Second,
	}
}
