//go:build !nowhisper

#include "native.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <ggml.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char reason[512];

static void keep(enum ggml_log_level level, const char *text, void *data) {
    (void)data;
    if (level != GGML_LOG_LEVEL_WARN && level != GGML_LOG_LEVEL_ERROR) {
        return;
    }
    pthread_mutex_lock(&mutex);
    snprintf(reason, sizeof(reason), "%s", text);
    pthread_mutex_unlock(&mutex);
}

void rtap_whisper_quiet(void) {
    whisper_log_set(keep, NULL);
    ggml_log_set(keep, NULL);
}

void rtap_whisper_reason(char *out, size_t size) {
    pthread_mutex_lock(&mutex);
    snprintf(out, size, "%s", reason);
    pthread_mutex_unlock(&mutex);
}

void rtap_whisper_forget(void) {
    pthread_mutex_lock(&mutex);
    reason[0] = 0;
    pthread_mutex_unlock(&mutex);
}

static bool stopped(void *stop) { return __atomic_load_n((int *)stop, __ATOMIC_RELAXED) != 0; }

void rtap_whisper_stop(int *stop, int value) { __atomic_store_n(stop, value, __ATOMIC_RELAXED); }

static bool may_encode(struct whisper_context *ctx, struct whisper_state *state, void *stop) {
    (void)ctx;
    (void)state;
    return !stopped(stop);
}

int rtap_whisper_run(struct whisper_context *ctx, struct whisper_full_params *params,
                     const char *prompt, const float *samples, int n, int *stop) {
    struct whisper_full_params p = *params;
    p.new_segment_callback = NULL;
    p.progress_callback = NULL;
    p.encoder_begin_callback = may_encode;
    p.encoder_begin_callback_user_data = stop;
    p.abort_callback = stopped;
    p.abort_callback_user_data = stop;
    p.initial_prompt = prompt;
    int rc = whisper_full(ctx, p, samples, n);
    if (stopped(stop)) {
        return 1;
    }
    return rc;
}
