#ifndef RTAP_WHISPERCPP_H
#define RTAP_WHISPERCPP_H

#include <stddef.h>
#include <whisper.h>

// rtap_whisper_quiet keeps the library's messages off stderr; the newest warning or error
// stays for rtap_whisper_reason.
void rtap_whisper_quiet(void);
void rtap_whisper_reason(char *out, size_t size);
void rtap_whisper_forget(void);

// rtap_whisper_run is whisper_full without the binding's callbacks and with a flag that
// ends it: 0 done, 1 ended by the flag, below 0 the library's error.
int rtap_whisper_run(struct whisper_context *ctx, struct whisper_full_params *params,
                     const char *prompt, const float *samples, int n, int *stop);
void rtap_whisper_stop(int *stop, int value);

#endif
