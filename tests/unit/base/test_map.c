/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "support/test.h"

#define ELEMENTS 5000

struct element {
    struct map_node node;
    char name[16];
    bool seen;
};

static struct element elements[ELEMENTS];

static int name_elements(void **state)
{
    (void)state;
    for (int i = 0; i < ELEMENTS; i++)
        (void)snprintf(elements[i].name, sizeof(elements[i].name), "name-%d", i);
    return 0;
}

static struct span key_of(int i)
{
    return span_of(elements[i].name);
}

static void fill(struct map *map)
{
    for (int i = 0; i < ELEMENTS; i++)
        assert_int_equal(map_add(map, &elements[i].node, key_of(i)), 0);
    assert_int_equal(map->count, ELEMENTS);
}

static void test_what_was_added_is_found_until_it_is_removed(void **state)
{
    struct map map = MAP_INIT;

    (void)state;
    assert_null(map_find(&map, SPAN_LIT("name-1")));
    fill(&map);
    for (int i = 0; i < ELEMENTS; i++)
        assert_ptr_equal(map_find(&map, key_of(i)), &elements[i].node);
    assert_null(map_find(&map, SPAN_LIT("name-")));
    assert_null(map_find(&map, SPAN_LIT("")));
    for (int i = 0; i < ELEMENTS; i += 2)
        map_remove(&map, &elements[i].node);
    for (int i = 0; i < ELEMENTS; i++)
        assert_ptr_equal(map_find(&map, key_of(i)), i % 2 ? &elements[i].node : NULL);
    assert_int_equal(map.count, ELEMENTS / 2);
    map_done(&map);
    assert_int_equal(map.count, 0);
}

static bool see(struct map_node *node, void *arg)
{
    struct element *element = CONTAINER_OF(node, struct element, node);

    assert_false(element->seen);
    element->seen = true;
    return ++*(int *)arg < ELEMENTS - 1;
}

static bool remove_it(struct map_node *node, void *arg)
{
    map_remove(arg, node);
    return true;
}

static void test_a_walk_sees_each_once_stops_when_told_and_may_remove(void **state)
{
    struct map map = MAP_INIT;
    int n = 0;

    (void)state;
    fill(&map);
    for (int i = 0; i < ELEMENTS; i++)
        elements[i].seen = false;
    map_each(&map, see, &n);
    assert_int_equal(n, ELEMENTS - 1);
    map_each(&map, remove_it, &map);
    assert_int_equal(map.count, 0);
    map_each(&map, see, &n);
    assert_int_equal(n, ELEMENTS - 1);
    map_done(&map);
}

static void test_no_memory_to_grow_leaves_the_map_as_it_was(void **state)
{
    struct map map = MAP_INIT;
    int added = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        mem_fail_at(1);
        int r = map_add(&map, &elements[i].node, key_of(i));
        mem_fail_at(0);
        if (r == 0) {
            added++;
            continue;
        }
        assert_int_equal(r, -ENOMEM);
        assert_int_equal(map.count, added);
        assert_null(map_find(&map, key_of(i)));
        assert_int_equal(map_add(&map, &elements[i].node, key_of(i)), 0);
        added++;
    }
    for (int i = 0; i < 100; i++)
        assert_ptr_equal(map_find(&map, key_of(i)), &elements[i].node);
    map_done(&map);
}

/* The authors' vectors: key 00 … 0f, message of n bytes 00, 01, …, read as little-endian. */
static void test_the_hash_is_siphash_2_4(void **state)
{
    static const uint64_t vectors[] = {
        0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
        0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
        0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
        0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
    };
    char message[16];

    (void)state;
    map_fix_seed(0x0706050403020100, 0x0f0e0d0c0b0a0908);
    for (size_t n = 0; n < sizeof(message); n++) {
        assert_int_equal(map_hash((struct span){message, n}), vectors[n]);
        message[n] = (char)n;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_added_is_found_until_it_is_removed),
        cmocka_unit_test(test_a_walk_sees_each_once_stops_when_told_and_may_remove),
        cmocka_unit_test(test_no_memory_to_grow_leaves_the_map_as_it_was),
        cmocka_unit_test(test_the_hash_is_siphash_2_4),
    };
    return cmocka_run_group_tests(tests, name_elements, NULL);
}
