/* spandsp's caller-ID and DTMF receivers on signals from standard input, for bench_hear.py.

   One argument: class, clip, jclip, clip-dtmf or dtmf. Input: for each signal its number of samples
   (32 bits, this machine's order) and the samples (16 bits, 8 kHz). Output: a line for each signal,
   the messages in hex with a blank between, or the digits. */
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <spandsp.h>

static void put_message(void *user, const uint8_t *message, int length)
{
    (void) user;
    for (int i = 0; i < length; i++)
        printf("%02x", message[i]);
    printf(" ");
}

static void put_digits(void *user, const char *digits, int length)
{
    (void) user;
    printf("%.*s", length, digits);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    int standard = !strcmp(mode, "class") ? ADSI_STANDARD_CLASS
                   : !strcmp(mode, "clip") ? ADSI_STANDARD_CLIP
                   : !strcmp(mode, "jclip") ? ADSI_STANDARD_JCLIP
                   : !strcmp(mode, "clip-dtmf") ? ADSI_STANDARD_CLIP_DTMF : 0;
    int32_t count;

    if (!standard && strcmp(mode, "dtmf"))
        return 2;
    while (fread(&count, sizeof(count), 1, stdin) == 1)
    {
        int16_t *samples = malloc(count * sizeof(int16_t));
        if (samples == NULL || fread(samples, sizeof(int16_t), count, stdin) != (size_t) count)
            return 1;
        if (standard)
        {
            adsi_rx_state_t *receiver = adsi_rx_init(NULL, standard, put_message, NULL);
            for (int at = 0; at < count; at += 160)
                adsi_rx(receiver, samples + at, count - at < 160 ? count - at : 160);
            adsi_rx_free(receiver);
        }
        else
        {
            dtmf_rx_state_t *receiver = dtmf_rx_init(NULL, put_digits, NULL);
            for (int at = 0; at < count; at += 160)
                dtmf_rx(receiver, samples + at, count - at < 160 ? count - at : 160);
            dtmf_rx_free(receiver);
        }
        printf("\n");
        free(samples);
    }
    return 0;
}
