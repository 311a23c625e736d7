/* SPDX-License-Identifier: MIT */
#include "app/policy_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/method.h"
#include "http/url.h"
#include "loop/worker.h"
#include "pool/address_rules.h"

struct policy_check_job {
    struct job job; /* first */
    struct policy_checks *checks;
    struct policy_check *check; /* NULL: nobody wants the answer any more */
    struct lookup lookup;
    struct url url;
    struct origin origin;
    struct origin dialled; /* a proxy in its place */
    bool is_refused;
    bool is_busy; /* on the thread */
    int result;
    char user[ACCESS_NAME_MAX]; /* "": who asks */
    struct identity who;
};

static void job_free(struct policy_check_job *job)
{
    resolver_cancel(&job->lookup);
    if (job->check)
        job->check->job = NULL;
    url_done(&job->url);
    mem_free(job);
}

static void end(struct policy_check_job *job, const struct failure *why)
{
    struct policy_check *check = job->check;

    check->allowed = !why && !job->is_refused;
    check->uid = job->who.uid;
    job_free(job);
    check->on_done(check->owner, why);
}

static void end_kind(struct policy_check_job *job, enum failure_kind kind, const char *text)
{
    struct failure why;

    failure_set(&why, kind, "%s", text);
    end(job, &why);
}

/* ---- steps ------------------------------------------------------------------------------- */

static void tell(struct policy_check_job *job, const struct policy_row *row)
{
    job->is_refused |= row->word == ACCESS_REFUSES;
    job->check->on_row(job->check->owner, row);
}

static void job_on_step(void *owner, const struct access_step *step)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    char title[ACCESS_TITLE_SIZE] = "";

    if (access_step_explain(step, &text) < 0)
        return;
    struct policy_row row = {.text = buf_span(&text), .word = step->word};
    if (step->section) {
        row.section = span_of(access_section_title(step->section, title));
        row.key = span_of(access_key_name(step->key));
        row.line = step->line;
    }
    tell(owner, &row);
}

static void tell_text(struct policy_check_job *job, enum access_word word, const char *text)
{
    struct policy_row row = {.text = span_of(text), .word = word};

    tell(job, &row);
}

static void judge_admission(struct policy_check_job *job, const struct access_person *who)
{
    char text[128];
    const char *by = access_policy_keeps_out(job->checks->config->access, who);

    if (by)
        (void)snprintf(text, sizeof(text), "user %s: kept out by %s of [Policy]",
                       who->name[0] ? who->name : "without a name", by);
    else
        (void)snprintf(text, sizeof(text), "user %s: let in",
                       who->name[0] ? who->name : "without a name");
    tell_text(job, by ? ACCESS_REFUSES : ACCESS_ALLOWS, text);
}

/* Return: whether there is a word on it. */
static bool judge_owner(struct policy_check_job *job)
{
    bool is_served = !job->checks->per_user || job->who.uid == geteuid() || job->who.uid == 0;

    if (!is_served)
        tell_text(job, ACCESS_REFUSES,
                  "this daemon serves one user and root; ask the system's about others");
    return !is_served;
}

static void tell_credential(struct policy_check_job *job, const struct access_view *view)
{
    const struct access_credential *credential = access_view_credential(view, &job->origin);
    char text[128];

    if (!credential)
        return;
    if (job->check->insecure) {
        struct failure why;

        access_credential_refuse(credential, "insecure", &why);
        struct policy_row row = {.text = span_of(why.text),
                                 .word = ACCESS_REFUSES,
                                 .key = SPAN_LIT("Credential"),
                                 .line = credential->line};
        tell(job, &row);
        return;
    }
    (void)snprintf(text, sizeof(text), "a login goes along (%s, Credential= of line %u)",
                   credential->is_basic ? "basic" : "bearer", credential->line);
    struct policy_row row = {
        .text = span_of(text), .key = SPAN_LIT("Credential"), .line = credential->line};
    tell(job, &row);
}

static void judge_rules(struct policy_check_job *job, const struct access_view *view)
{
    const struct access_listener listener = {job_on_step, job};
    struct span method = job->check->method;
    struct access_step step;

    (void)access_allows_method(
        view, method.len > 0 ? method_normalise(method) : SPAN_LIT("GET"), &listener, &step);
    (void)access_allows_host(view, ACCESS_ABOUT_HOST, origin_host(&job->origin),
                             job->origin.port, &listener, &step);
    (void)access_allows_port(view, job->origin.port, &listener, &step);
    if (job->check->insecure && job->origin.is_https)
        (void)access_allows_insecure(view, &listener, &step);
    tell_credential(job, view);
}

/* ---- limits and settings of some ----------------------------------------------------------
 */

/* A setting is taken from the first section that has one, and there from its last line. */
static bool is_overruled(const struct access_view *view, size_t i, size_t k)
{
    const struct access_section *in = view->sections[i];
    const char *key = in->settings[k].key;

    for (size_t later = k + 1; later < in->n_settings; later++) {
        if (strcmp(in->settings[later].key, key) == 0)
            return true;
    }
    for (size_t before = 0; before < i; before++) {
        const struct access_section *section = view->sections[before];

        for (size_t at = 0; at < section->n_settings; at++) {
            if (strcmp(section->settings[at].key, key) == 0)
                return true;
        }
    }
    return false;
}

/* A proxy may have a login, which is nobody's to see here. */
static void tell_setting(struct policy_check_job *job,
                         const struct access_section *in,
                         const struct access_setting *setting)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    char title[ACCESS_TITLE_SIZE] = "";
    char name[PROXY_TEXT_SIZE];
    const char *value = setting->value;
    struct proxy proxy;

    (void)access_section_title(in, title);
    if (strcmp(setting->key, "Proxy") == 0 &&
        proxy_parse(span_of(setting->value), &proxy) == PROXY_OK) {
        (void)proxy_format(proxy.kind, &proxy.origin, name);
        value = name;
        proxy_done(&proxy);
    }
    if (buf_append_format(&text, "%s=%s (%s, line %u)", setting->key, value, title,
                          setting->line) < 0)
        return;
    struct policy_row row = {.text = buf_span(&text),
                             .word = ACCESS_SILENT,
                             .section = span_of(title),
                             .key = span_of(setting->key),
                             .line = setting->line};
    tell(job, &row);
}

static void tell_settings(struct policy_check_job *job, const struct access_view *view)
{
    for (size_t i = 0; i < view->n; i++) {
        const struct access_section *in = view->sections[i];

        for (size_t k = 0; k < in->n_settings; k++) {
            if (!is_overruled(view, i, k))
                tell_setting(job, in, &in->settings[k]);
        }
    }
}

/* ---- addresses --------------------------------------------------------------------------- */

static void judge_address(struct policy_check_job *job,
                          const struct access_view *view,
                          const struct address *address)
{
    const struct address_rules rules = {
        .deny = job->checks->deny,
        .networks = view ? view->networks : NULL,
        .n_networks = view ? view->n_networks : 0,
    };
    char where[ADDRESS_TEXT_MAX];
    char text[ADDRESS_TEXT_MAX + 64];
    struct failure why;

    if (address_is_refused(&rules, address, &why)) {
        tell_text(job, ACCESS_REFUSES, why.text);
        return;
    }
    (void)snprintf(text, sizeof(text), "%s: no rule is against this address",
                   address_format(address, where));
    tell_text(job, ACCESS_ALLOWS, text);
}

/* What a proxy is asked for by its address; of a name only the proxy knows where it leads. */
static void judge_target(struct policy_check_job *job, const struct access_view *view)
{
    struct address address;

    if (address_parse(host_strip_brackets(origin_host(&job->origin)), job->origin.port,
                      &address) == 0)
        judge_address(job, view, &address);
}

static int find_view(struct policy_check_job *job, const struct access_view **ret)
{
    const struct access_person who = {
        .uid = job->who.uid,
        .name = job->who.name,
        .groups = job->who.groups,
        .n_groups = job->who.n_groups,
    };

    return rights_find_view(job->checks->rights, &who, ret);
}

static void lookup_on_done(void *owner, struct address_list found, const struct failure *why)
{
    struct policy_check_job *job = owner;
    const struct access_view *view;
    char text[FAILURE_TEXT_MAX + 32];

    if (why) {
        (void)snprintf(text, sizeof(text), "addresses: %s", why->text);
        tell_text(job, ACCESS_SILENT, text);
    } else if (find_view(job, &view) == 0) {
        /* One that is allowed is enough: that is where a connection would go. */
        bool was_refused = job->is_refused;
        bool one_is_allowed = false;

        for (size_t i = 0; i < found.n; i++) {
            job->is_refused = false;
            judge_address(job, view, &found.at[i]);
            one_is_allowed |= !job->is_refused;
        }
        job->is_refused = was_refused || !one_is_allowed;
    }
    end(job, NULL);
}

/* The proxy that the request would go through, or the host. */
static const struct origin *find_dialled(struct policy_check_job *job)
{
    struct service_rights rights = {.kept_out_by = NULL};
    const struct access_person who = {
        .uid = job->who.uid,
        .name = job->who.name,
        .groups = job->who.groups,
        .n_groups = job->who.n_groups,
    };
    char name[PROXY_TEXT_SIZE];
    char text[PROXY_TEXT_SIZE + 64];

    const struct config *config;

    if (rights_find(job->checks->rights, &who, &rights, &config) < 0)
        return &job->origin;
    const struct fetch_options *options =
        rights.fetch.options ? rights.fetch.options : job->checks->options;
    const struct proxy_rules rules = {.http = options->proxy, .https = options->proxy};
    const struct proxy *proxy = no_proxy_matches(options->no_proxy, &job->origin)
                                    ? NULL
                                    : proxy_choose(&rules, &job->origin);
    if (!proxy)
        return &job->origin;
    (void)proxy_format(proxy->kind, &proxy->origin, name);
    (void)snprintf(text, sizeof(text), "through the proxy %s: these addresses are its own",
                   name);
    tell_text(job, ACCESS_SILENT, text);
    job->dialled = proxy->origin; /* a reload may come while it is looked up */
    return &job->dialled;
}

static void judge(struct policy_check_job *job)
{
    const struct access_view *view = NULL;

    if (find_view(job, &view) < 0) {
        end_kind(job, FAILURE_INTERNAL, "the rules cannot be put together");
        return;
    }
    if (judge_owner(job)) {
        end(job, NULL);
        return;
    }
    if (view) {
        const struct access_person who = {.uid = job->who.uid,
                                          .name = job->who.name,
                                          .groups = job->who.groups,
                                          .n_groups = job->who.n_groups};
        judge_admission(job, &who);
        judge_rules(job, view);
        tell_settings(job, view);
    } else {
        tell_text(job, ACCESS_ALLOWS, "there are no rules of hosts, ports and methods");
    }
    const struct origin *dialled = find_dialled(job);
    if (dialled != &job->origin)
        judge_target(job, view);
    job->lookup.uid = job->check->peer->uid;
    if (resolver_lookup(job->checks->resolver, origin_host(dialled), dialled->port, AF_UNSPEC,
                        &job->lookup) < 0)
        end_kind(job, FAILURE_INTERNAL, "the name cannot be looked up now");
}

/* ---- who --------------------------------------------------------------------------------- */

static void job_run(struct job *self)
{
    struct policy_check_job *job = (struct policy_check_job *)(void *)self;

    job->result = job->user[0] ? identity_of_user(job->user, &job->who)
                               : identity_names(job->who.uid, job->who.name, job->who.groups,
                                                job->who.n_groups);
}

/* Others are not his affair, whether they exist or not. */
static bool may_ask(const struct policy_check_job *job)
{
    return job->check->may_ask_others ||
           (job->result == 0 && job->who.uid == job->check->peer->uid);
}

static void end_stranger(struct policy_check_job *job)
{
    struct failure why;

    failure_set(&why, FAILURE_ARGUMENT,
                "user %s: there is none; wants the name or number of a user", job->user);
    end(job, &why);
}

static void job_done(struct job *self)
{
    struct policy_check_job *job = (struct policy_check_job *)(void *)self;

    job->is_busy = false;
    if (!job->check || self->cancelled) {
        if (job->check)
            end_kind(job, FAILURE_SHUTDOWN, "the daemon is leaving");
        else
            job_free(job);
        return;
    }
    if (!may_ask(job))
        end_kind(job, FAILURE_POLICY, "user: only administrators may ask about others");
    else if (job->result == -ENOENT)
        end_stranger(job);
    else if (job->result < 0)
        end_kind(job, FAILURE_INTERNAL, "user: the user database could not be asked");
    else
        judge(job);
}

static int take_url(struct policy_check_job *job, struct failure *ret_why)
{
    struct url url;
    int r = url_parse(job->check->url, NULL, &url);

    if (r != URL_OK) {
        failure_set(ret_why, FAILURE_URL, "%s", url_outcome_text(r));
        return -EINVAL;
    }
    job->url = url;
    r = origin_of_url(&job->url, &job->origin);
    if (r == ORIGIN_OK)
        return 0;
    failure_set(ret_why, FAILURE_URL, "%s", origin_outcome_text(r));
    return -EINVAL;
}

static int take_question(struct policy_check_job *job, struct failure *ret_why)
{
    const struct policy_check *check = job->check;

    if (check->user.len >= sizeof(job->user)) {
        failure_set(ret_why, FAILURE_ARGUMENT, "user: wants a name below %d bytes",
                    ACCESS_NAME_MAX);
        return -EINVAL;
    }
    if (check->user.len > 0)
        memcpy(job->user, check->user.ptr, check->user.len);
    if (check->method.len > 0 && !method_is_token(check->method)) {
        failure_set(ret_why, FAILURE_ARGUMENT, "method: wants a token, as GET");
        return -EINVAL;
    }
    job->who.uid = check->peer->uid;
    job->who.n_groups = check->peer->n_gids;
    for (size_t i = 0; i < job->who.n_groups; i++)
        job->who.groups[i].gid = check->peer->gids[i];
    return take_url(job, ret_why);
}

int policy_check_start(struct policy_checks *checks, struct policy_check *check)
{
    struct policy_check_job *job = mem_zalloc(sizeof(*job));

    if (!job) {
        failure_set(&check->why, FAILURE_INTERNAL, "out of memory");
        return fault(-ENOMEM);
    }
    job->job = (struct job){.run = job_run, .done = job_done, .lane = check->peer->uid};
    job->checks = checks;
    job->check = check;
    job->lookup.on_done = lookup_on_done;
    job->lookup.owner = job;
    int r = take_question(job, &check->why);
    if (r == 0) {
        r = worker_submit(identities_threads(checks->identities), &job->job);
        if (r < 0)
            failure_set(&check->why, FAILURE_INTERNAL, "no thread to look the user up");
    }
    check->job = job;
    job->is_busy = r == 0;
    if (r < 0)
        job_free(job);
    return r;
}

void policy_check_cancel(struct policy_check *check)
{
    struct policy_check_job *job = check->job;

    if (!job)
        return;
    job->check = NULL;
    check->job = NULL;
    if (job->is_busy)
        worker_cancel(identities_threads(job->checks->identities), &job->job);
    else
        job_free(job);
}
