/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Intrusive doubly linked ring. A `struct link` embedded in the element; the head is a link of
 * its own. An unlinked link points at itself, so link_remove() twice is harmless.
 */

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *prev;
    struct link *next;
};

#define LINK_INIT(name)                                                                        \
    {                                                                                          \
        &(name), &(name)                                                                       \
    }
#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

static inline void link_init(struct link *link)
{
    link->prev = link;
    link->next = link;
}

static inline bool link_is_linked(const struct link *link)
{
    return link->next != link;
}

static inline bool list_is_empty(const struct link *head)
{
    return head->next == head;
}

static inline void list_append(struct link *head, struct link *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void list_prepend(struct link *head, struct link *link)
{
    list_append(head->next, link);
}

static inline void link_remove(struct link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link_init(link);
}

/* First element's link, or NULL. */
static inline struct link *list_first(const struct link *head)
{
    return list_is_empty(head) ? NULL : head->next;
}

/* The body may remove @at, nothing else. */
// NOLINTBEGIN(bugprone-macro-parentheses): @at is a declaration
#define LIST_FOREACH(at, head)                                                                 \
    for (struct link *at = (head)->next, *at##_next = at->next; at != (head);                  \
         at = at##_next, at##_next = at->next)
// NOLINTEND(bugprone-macro-parentheses)
