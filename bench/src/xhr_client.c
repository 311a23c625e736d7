/* SPDX-License-Identifier: MIT */
/*
 * A program that makes its requests with libxhr.
 *
 *   xhr_client [-n REQUESTS] [-p IN_FLIGHT] [-d DAEMON_PID] [-j JAR] [-FHW] URL…
 *
 * Of more than one URL each is asked in turn.
 * Prints latencies and rates of REQUESTS requests after as many more to warm up as are in
 * flight; with -H it makes exactly REQUESTS, prints nothing and holds still for `spawn -H`.
 * With -F every request has a connection of its own.
 * With -W it begins IN_FLIGHT requests, which need no end, and stays until stdin ends.
 */
#include <poll.h>
#include <xhr/xhr.h>

#include "measure.h"

struct run {
    struct xhr_client *client;
    char *const *urls;
    size_t n_urls;
    const char *jar; /* NULL: the default */
    bool fresh;      /* a connection for each */
    bool is_patient; /* with an origin that answers when it is told to */
    size_t total;    /* requests to make, those to warm up included */
    size_t warm;     /* of these, not measured */
    size_t started;
    size_t done;
    uint64_t *latency_ns; /* of the measured ones, as they end */
    long daemon_pid;      /* 0: not to be watched */
    uint64_t start_ns;
    uint64_t start_cpu_ns;
    uint64_t start_daemon_ns;
};

struct slot { /* a request object, used over and over */
    struct run *run;
    struct xhr_request *request;
    uint64_t sent_ns;
};

static void begin_measuring(struct run *run)
{
    run->start_daemon_ns = run->daemon_pid ? process_cpu_ns(run->daemon_pid) : 0;
    run->start_cpu_ns = cpu_ns();
    run->start_ns = now_ns();
}

static void check(struct xhr_request *request)
{
    const struct xhr_error *error = xhr_request_error(request);

    if (error || xhr_request_status(request) != 200)
        die("status %d, %s", xhr_request_status(request), error ? error->text : "no error");
}

static void finish_one(struct slot *slot)
{
    struct run *run = slot->run;

    check(slot->request);
    if (run->done >= run->warm)
        run->latency_ns[run->done - run->warm] = now_ns() - slot->sent_ns;
    run->done++;
    if (run->done == run->warm)
        begin_measuring(run);
}

static void start_one(struct slot *slot, bool async)
{
    const char *url = slot->run->urls[slot->run->started++ % slot->run->n_urls];

    slot->sent_ns = now_ns();
    if (xhr_request_open(slot->request, "GET", url, async) < 0)
        die("open");
    if (xhr_request_send(slot->request, NULL) < 0)
        check(slot->request);
}

static void on_load(struct xhr_request *request, void *user)
{
    struct slot *slot = user;

    (void)request;
    finish_one(slot);
    if (slot->run->started < slot->run->total)
        start_one(slot, true);
}

static void on_error(struct xhr_request *request, const struct xhr_error *error, void *user)
{
    (void)error;
    (void)user;
    check(request);
}

static void use_options(const struct run *run, struct xhr_request *request)
{
    const struct xhr_request_options options = {
        .size = sizeof(options),
        .jar = run->jar,
        .no_keep_alive = run->fresh,
        .timeout_connect_ms = run->is_patient ? XHR_NO_TIMEOUT : 0,
        .timeout_idle_ms = run->is_patient ? XHR_NO_TIMEOUT : 0,
    };

    if ((run->jar || run->fresh || run->is_patient) &&
        xhr_request_set_options(request, &options) < 0)
        die("the options");
}

static void run_one_by_one(struct run *run)
{
    struct slot slot = {.run = run};

    if (xhr_request_new(run->client, &slot.request) < 0)
        die("request");
    use_options(run, slot.request);
    while (run->done < run->total) {
        start_one(&slot, false);
        finish_one(&slot);
    }
    (void)xhr_request_free(slot.request);
}

static bool stdin_has_ended(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&in, 1, 0) > 0;
}

static void run_many(struct run *run, size_t in_flight, bool wait)
{
    static const struct xhr_callbacks callbacks = {
        .size = sizeof(callbacks),
        .onload = on_load,
        .onerror = on_error,
    };
    struct slot *slots = calloc(in_flight, sizeof(*slots));

    if (!slots)
        die("calloc");
    for (size_t i = 0; i < in_flight; i++) {
        slots[i].run = run;
        if (xhr_request_new(run->client, &slots[i].request) < 0 ||
            xhr_request_set_callbacks(slots[i].request, &callbacks, &slots[i]) < 0)
            die("request");
        use_options(run, slots[i].request);
        start_one(&slots[i], true);
    }
    while (wait ? !stdin_has_ended() : run->done < run->total) {
        int r = xhr_client_wait(run->client, wait ? 100 : -1);

        if (r < 0 && r != -EINTR)
            die("wait: %d", r);
    }
    for (size_t i = 0; i < in_flight; i++)
        (void)xhr_request_free(slots[i].request);
    free(slots);
}

static void report(const struct run *run, size_t n)
{
    double wall_ns = (double)(now_ns() - run->start_ns);

    emit("cpu_us", (double)(cpu_ns() - run->start_cpu_ns) / 1e3 / (double)n);
    if (run->daemon_pid) {
        uint64_t ns = process_cpu_ns(run->daemon_pid) - run->start_daemon_ns;

        emit("daemon_cpu_us", (double)ns / 1e3 / (double)n);
    }
    emit("req_s", (double)n * 1e9 / wall_ns);
    emit_latencies(run->latency_ns, n);
}

int main(int argc, char **argv)
{
    struct run run = {0};
    size_t n = 1, in_flight = 1;
    bool hold = false, wait = false;

    for (int option; (option = getopt(argc, argv, "n:p:d:j:FHW")) != -1;) {
        switch (option) {
        case 'n': n = (size_t)number(optarg); break;
        case 'p': in_flight = (size_t)number(optarg); break;
        case 'd': run.daemon_pid = number(optarg); break;
        case 'j': run.jar = optarg; break;
        case 'F': run.fresh = true; break;
        case 'H': hold = true; break;
        case 'W': wait = true; break;
        default: return 2;
        }
    }
    run.urls = argv + optind;
    run.n_urls = (size_t)(argc - optind);
    run.warm = hold ? 0 : in_flight;
    run.is_patient = wait || (hold && in_flight > 1);
    run.total = n + run.warm;
    run.latency_ns = calloc(n, sizeof(*run.latency_ns));
    if (run.n_urls == 0 || !run.latency_ns || xhr_client_new(NULL, &run.client) < 0)
        die("no URL, or no memory");
    begin_measuring(&run);
    if (in_flight == 1 && !wait)
        run_one_by_one(&run);
    else
        run_many(&run, in_flight, wait);
    if (wait) {
        (void)xhr_client_free(run.client);
        return 0;
    }
    if (hold)
        hold_still();
    else
        report(&run, n);
    (void)xhr_client_free(run.client);
    free(run.latency_ns);
    return 0;
}
