/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "support/test.h"

static void test_the_systems_clock_does_not_step_back(void **state)
{
    const struct clock *clock = clock_system();
    int64_t before = clock_mono_us(clock);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_us(clock);

        assert_true(now >= before);
        before = now;
    }
    assert_true(clock_wall_s(clock) > INT64_C(1700000000));
}

static void test_a_fake_clock_moves_when_it_is_told(void **state)
{
    struct fake_clock fake;

    (void)state;
    fake_clock_init(&fake, 1800000000);
    int64_t begun = clock_mono_us(&fake.clock);
    assert_int_equal(clock_wall_s(&fake.clock), 1800000000);
    fake_clock_advance_ms(&fake, 400);
    fake_clock_advance_ms(&fake, 400);
    fake_clock_advance_ms(&fake, 400); /* no second is lost between small steps */
    assert_int_equal(clock_mono_us(&fake.clock) - begun, 1200000);
    assert_int_equal(clock_wall_s(&fake.clock), 1800000001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_systems_clock_does_not_step_back),
        cmocka_unit_test(test_a_fake_clock_moves_when_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
