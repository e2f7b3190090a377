/* SPDX-License-Identifier: MIT */
#ifndef TESTS_EXPLORE_SCENARIOS_ALL_H
#define TESTS_EXPLORE_SCENARIOS_ALL_H

#include "tests/explore/explore.h"

extern const struct explore_scenario scenario_read_remove, scenario_write_remove,
    scenario_enter_remove, scenario_default_lent, scenario_strict_find, scenario_strict_enter,
    scenario_remove_remove, scenario_remove_add, scenario_remove_add_find, scenario_handle_remove,
    scenario_last_put, scenario_walk_remove, scenario_dump_remove, scenario_vanish_remove,
    scenario_vanish_remove_read, scenario_drain_deadline, scenario_graceful,
    scenario_stuck_elsewhere, scenario_assign_assign, scenario_assign_remove, scenario_assign_force,
    scenario_read_deassign, scenario_write_deassign, scenario_deassign_force, scenario_move_write,
    scenario_pass_assign, scenario_destroy_read, scenario_destroy_force, scenario_destroy_assign,
    scenario_destroy_deassign, scenario_reset_remove, scenario_read_reset, scenario_fault_deassign,
    scenario_fault_write, scenario_move_write_read, scenario_remove_remove_read,
    scenario_buffered_deassign, scenario_buffered_pass, scenario_buffered_fault,
    scenario_fire_remove, scenario_fire_deassign, scenario_fire_mask, scenario_fire_reset,
    scenario_fire_unmask, scenario_fire_change, scenario_fire_change_all, scenario_map_remove,
    scenario_unmap_remove, scenario_map_deassign, scenario_remap_deassign, scenario_map_map,
    scenario_flr_remove, scenario_register, scenario_write_write, scenario_buffered_enter,
    scenario_buffered_read, scenario_buffered_fire, scenario_buffered_reset, scenario_group,
    scenario_port_add, scenario_port_force, scenario_vf_add, litmus_buffering, litmus_light,
    litmus_asymmetric, litmus_heavy, litmus_fenced, litmus_message, litmus_message_relaxed,
    litmus_count, litmus_lost_update, litmus_locks, litmus_order, litmus_deadlock, litmus_wait,
    litmus_no_wake, litmus_retire, litmus_retire_early, litmus_free, litmus_last_put, litmus_get;

#endif
