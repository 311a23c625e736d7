/* SPDX-License-Identifier: MIT */
/*
 * The peer of xhr_client: the same work with libcurl in the process.
 *
 *   curl_client [-n REQUESTS] [-p IN_FLIGHT] [-c CONNECTIONS] [-2FH] -a CA_FILE URL
 *
 * -2 speaks HTTP/2, all requests over one connection.
 * -c bounds the connections to a host; without it each request in flight has one of its own.
 * What is printed, -F and -H are as in xhr_client.
 */
#include <curl/curl.h>
#include <stdbool.h>

#include "measure.h"

struct run {
    const char *url;
    const char *ca_file;
    bool http2;
    bool fresh;   /* a connection for each */
    size_t total; /* transfers to make, those to warm up included */
    size_t warm;  /* of these, not measured */
    size_t started;
    size_t done;
    uint64_t *latency_ns; /* of the measured ones, as they end */
    uint64_t start_ns;
    uint64_t start_cpu_ns;
};

struct slot { /* an easy handle, used over and over */
    struct run *run;
    CURL *easy;
    uint64_t sent_ns;
};

static size_t drop(char *bytes, size_t size, size_t n, void *user)
{
    (void)bytes;
    (void)user;
    return size * n;
}

static void begin_measuring(struct run *run)
{
    run->start_cpu_ns = cpu_ns();
    run->start_ns = now_ns();
}

static void slot_init(struct slot *slot, struct run *run)
{
    slot->run = run;
    slot->easy = curl_easy_init();
    if (!slot->easy)
        die("curl_easy_init");
    (void)curl_easy_setopt(slot->easy, CURLOPT_URL, run->url);
    (void)curl_easy_setopt(slot->easy, CURLOPT_CAINFO, run->ca_file);
    (void)curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, drop);
    (void)curl_easy_setopt(slot->easy, CURLOPT_HTTP_VERSION,
                           run->http2 ? (long)CURL_HTTP_VERSION_2TLS
                                      : (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(slot->easy, CURLOPT_PIPEWAIT, (long)run->http2);
    (void)curl_easy_setopt(slot->easy, CURLOPT_FORBID_REUSE, (long)run->fresh);
    (void)curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
}

static void finish_one(struct slot *slot, CURLcode code)
{
    struct run *run = slot->run;
    long status = 0;

    (void)curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status != 200)
        die("status %ld, %s", status, curl_easy_strerror(code));
    if (run->done >= run->warm)
        run->latency_ns[run->done - run->warm] = now_ns() - slot->sent_ns;
    run->done++;
    if (run->done == run->warm)
        begin_measuring(run);
}

static void run_one_by_one(struct run *run)
{
    struct slot slot;

    slot_init(&slot, run);
    while (run->done < run->total) {
        slot.sent_ns = now_ns();
        finish_one(&slot, curl_easy_perform(slot.easy));
    }
    curl_easy_cleanup(slot.easy);
}

static void start_one(CURLM *multi, struct slot *slot)
{
    slot->run->started++;
    slot->sent_ns = now_ns();
    if (curl_multi_add_handle(multi, slot->easy) != CURLM_OK)
        die("curl_multi_add_handle");
}

static void finish_ready(CURLM *multi, struct run *run)
{
    int left = 0;

    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
        struct slot *slot = NULL;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&slot);
        finish_one(slot, code);
        (void)curl_multi_remove_handle(multi, easy);
        if (run->started < run->total)
            start_one(multi, slot);
    }
}

static void run_many(struct run *run, size_t in_flight, size_t connections)
{
    struct slot *slots = calloc(in_flight, sizeof(*slots));
    CURLM *multi = curl_multi_init();

    if (!slots || !multi)
        die("no memory");
    (void)curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)in_flight);
    (void)curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)connections);
    for (size_t i = 0; i < in_flight; i++) {
        slot_init(&slots[i], run);
        start_one(multi, &slots[i]);
    }
    while (run->done < run->total) {
        int live = 0;

        if (curl_multi_perform(multi, &live) != CURLM_OK)
            die("curl_multi_perform");
        finish_ready(multi, run);
        if (run->done < run->total)
            (void)curl_multi_poll(multi, NULL, 0, 100, NULL);
    }
    for (size_t i = 0; i < in_flight; i++)
        curl_easy_cleanup(slots[i].easy);
    (void)curl_multi_cleanup(multi);
    free(slots);
}

static void report(const struct run *run, size_t n)
{
    double wall_ns = (double)(now_ns() - run->start_ns);

    emit("cpu_us", (double)(cpu_ns() - run->start_cpu_ns) / 1e3 / (double)n);
    emit("req_s", (double)n * 1e9 / wall_ns);
    emit_latencies(run->latency_ns, n);
}

int main(int argc, char **argv)
{
    struct run run = {0};
    size_t n = 1, in_flight = 1, connections = 0; /* 0: no bound */
    bool hold = false;

    for (int option; (option = getopt(argc, argv, "n:p:c:a:2FH")) != -1;) {
        switch (option) {
        case 'n': n = (size_t)number(optarg); break;
        case 'p': in_flight = (size_t)number(optarg); break;
        case 'c': connections = (size_t)number(optarg); break;
        case 'a': run.ca_file = optarg; break;
        case '2': run.http2 = true; break;
        case 'F': run.fresh = true; break;
        case 'H': hold = true; break;
        default: return 2;
        }
    }
    run.url = argv[optind];
    run.warm = hold ? 0 : in_flight;
    run.total = n + run.warm;
    run.latency_ns = calloc(n, sizeof(*run.latency_ns));
    if (!run.url || !run.latency_ns || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        die("no URL, or no memory");
    begin_measuring(&run);
    if (in_flight == 1)
        run_one_by_one(&run);
    else
        run_many(&run, in_flight, connections);
    if (hold)
        hold_still();
    else
        report(&run, n);
    free(run.latency_ns);
    return 0;
}
