/* SPDX-License-Identifier: MIT */
#include "app/rights.h"

#include <errno.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

/* What people get about whom the same sections are. */
struct share {
    struct map_node node; /* by view.sections */
    struct access_view view;
    bool is_otherwise;     /* some section sets a key of other rooms */
    struct config *config; /* owned; of these people, if so; options borrow from it */
    struct proxy proxy;
    struct fetch_options options;
};

struct rights {
    const struct config *config;
    struct map shares;
};

void rights_quota(const struct config *config, struct quota *ret)
{
    quota_init(ret);
    ret->max[QUOTA_BYTES] = config->queued_bytes_per_user;
    ret->max[QUOTA_FDS] = config->fds_per_user;
    ret->max[QUOTA_REQUESTS] = config->requests_per_user;
    ret->max[QUOTA_WATCHERS] = config->watchers_per_user;
    ret->max[QUOTA_CLIENTS] = config->clients_per_user;
}

struct fetch_options rights_fetch_options(const struct config *config,
                                          const struct proxy *proxy)
{
    return (struct fetch_options){
        .connect_timeout_us = config->connect_timeout_us,
        .idle_timeout_us = config->idle_timeout_us,
        .user_agent = "xhrd/" XHRD_VERSION,
        .proxy = proxy,
        .no_proxy = span_of(config->no_proxy),
        .tls_min_version = config->tls_min_version,
        .answer = {.head = {(uint32_t)config->head_bytes, (uint32_t)config->head_line_bytes,
                            (uint32_t)config->head_fields},
                   .codings_max = (unsigned)config->codings,
                   .redirects_max = (unsigned)config->redirects},
        .forbids_early_data = !config->early_data,
    };
}

int rights_new(struct rights **ret)
{
    struct rights *rights = mem_zalloc(sizeof(*rights));

    if (!rights)
        return fault(-ENOMEM);
    *ret = rights;
    return 0;
}

static struct share *share_free(struct share *share)
{
    if (!share)
        return NULL;
    access_view_done(&share->view);
    proxy_done(&share->proxy);
    if (share->config)
        mem_free_secret(share->config, sizeof(*share->config));
    return mem_free(share);
}
DEFINE_CLEANUP(share, share_free)

static bool drop_share(struct map_node *node, void *arg)
{
    map_remove(arg, node);
    share_free(CONTAINER_OF(node, struct share, node));
    return true;
}

static void forget(struct rights *rights)
{
    map_each(&rights->shares, drop_share, &rights->shares);
}

struct rights *rights_free(struct rights *rights)
{
    if (!rights)
        return NULL;
    forget(rights);
    map_done(&rights->shares);
    return mem_free(rights);
}

void rights_set_config(struct rights *rights, const struct config *config)
{
    forget(rights);
    rights->config = config;
}

static struct span key_of(const struct access_view *view)
{
    // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers they are
    return (struct span){(const char *)view->sections, view->n * sizeof(*view->sections)};
}

static bool has_settings(const struct access_view *view)
{
    for (size_t i = 0; i < view->n; i++) {
        if (view->sections[i]->n_settings > 0)
            return true;
    }
    return false;
}

static int take_settings(struct rights *rights, struct share *share)
{
    share->is_otherwise = has_settings(&share->view);
    if (!share->is_otherwise)
        return 0;
    share->config = mem_alloc(sizeof(*share->config));
    if (!share->config)
        return fault(-ENOMEM);
    int r = config_for_view(rights->config, &share->view, share->config);
    if (r == 0)
        r = config_proxy(share->config, &share->proxy);
    if (r == 0)
        share->options = rights_fetch_options(share->config, &share->proxy);
    share->options.has_limits = true;
    share->options.limits.per_host_max = (unsigned)share->config->connections_per_host;
    share->options.limits.idle_per_uid_max = (unsigned)share->config->idle_connections_per_user;
    return r;
}

/* @view is taken. */
static int add_share(struct rights *rights, struct access_view *view, struct share **ret)
{
    CLEANUP(share_free) struct share *share = mem_zalloc(sizeof(*share));

    if (!share) {
        access_view_done(view);
        return fault(-ENOMEM);
    }
    share->view = *view;
    int r = take_settings(rights, share);
    if (r == 0)
        r = map_add(&rights->shares, &share->node, key_of(&share->view));
    if (r < 0)
        return r;
    *ret = TAKE(share);
    return 0;
}

static int
find_share(struct rights *rights, const struct access_person *who, struct share **ret)
{
    struct access_view view;
    int r = access_view_init(&view, rights->config->access, who);

    if (r < 0)
        return r;
    struct map_node *node = map_find(&rights->shares, key_of(&view));
    if (!node)
        return add_share(rights, &view, ret);
    access_view_done(&view);
    *ret = CONTAINER_OF(node, struct share, node);
    return 0;
}

int rights_find_view(struct rights *rights,
                     const struct access_person *who,
                     const struct access_view **ret)
{
    struct share *share = NULL;
    int r = rights->config->access ? find_share(rights, who, &share) : 0;

    if (r == 0)
        *ret = share ? &share->view : NULL;
    return r;
}

int rights_find(struct rights *rights,
                const struct access_person *who,
                struct service_rights *ret,
                const struct config **ret_config)
{
    struct share *share;

    *ret_config = rights->config;
    if (!rights->config->access)
        return 0;
    int r = find_share(rights, who, &share);
    if (r < 0) {
        log_warning(NULL, "the rules for uid %u cannot be put together (%s)", who->uid,
                    r == -E2BIG ? "too many networks" : "no memory");
        return r;
    }
    ret->fetch.access = &share->view;
    ret->kept_out_by = access_policy_keeps_out(rights->config->access, who);
    if (!share->is_otherwise)
        return 0;
    *ret_config = share->config;
    ret->fetch.options = &share->options;
    rights_quota(share->config, &ret->limits);
    return 0;
}
