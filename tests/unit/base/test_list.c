/* SPDX-License-Identifier: MIT */
#include "base/list.h"
#include "support/test.h"

struct element {
    int number;
    struct link link;
};

static void assert_order(const struct link *head, const int *numbers, int n)
{
    int i = 0;

    LIST_FOREACH (at, (struct link *)(uintptr_t)head) {
        assert_true(i < n);
        assert_int_equal(CONTAINER_OF(at, struct element, link)->number, numbers[i++]);
    }
    assert_int_equal(i, n);
}

static void test_elements_stand_where_they_were_put(void **state)
{
    struct link head = LINK_INIT(head);
    struct element elements[4];

    (void)state;
    assert_true(list_is_empty(&head));
    assert_null(list_first(&head));
    for (int i = 0; i < 4; i++) {
        elements[i].number = i;
        link_init(&elements[i].link);
        assert_false(link_is_linked(&elements[i].link));
    }
    list_append(&head, &elements[1].link);
    list_append(&head, &elements[2].link);
    list_prepend(&head, &elements[0].link);
    list_append(&head, &elements[3].link);
    assert_order(&head, (const int[]){0, 1, 2, 3}, 4);
    assert_ptr_equal(list_first(&head), &elements[0].link);
    link_remove(&elements[0].link);
    link_remove(&elements[0].link); /* twice is harmless */
    link_remove(&elements[2].link);
    assert_order(&head, (const int[]){1, 3}, 2);
    assert_false(link_is_linked(&elements[2].link));
    list_prepend(&head, &elements[2].link);
    assert_order(&head, (const int[]){2, 1, 3}, 3);
}

static void test_a_walk_may_remove_the_element_it_is_at(void **state)
{
    struct link head = LINK_INIT(head);
    struct element elements[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        elements[i].number = i;
        list_append(&head, &elements[i].link);
    }
    LIST_FOREACH (at, &head) {
        if (CONTAINER_OF(at, struct element, link)->number != 2)
            link_remove(at);
    }
    assert_order(&head, (const int[]){2}, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements_stand_where_they_were_put),
        cmocka_unit_test(test_a_walk_may_remove_the_element_it_is_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
