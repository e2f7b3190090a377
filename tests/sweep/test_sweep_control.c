/* SPDX-License-Identifier: MIT */
/*
 * P2 for the front end: every method of the control socket, called as the session does it, with the
 * n-th allocation or the n-th call of the simulated host failing. Afterwards what clients can ask
 * for is as before, or as it is when the method succeeds; and the next call succeeds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <berth_port.h>
#include <stdlib.h>
#include <string.h>

#include "front/control/methods.h"
#include "front/control/rpc.h"
#include "front/control/service.h"
#include "tests/unit/machines.h"

/* ---- memory ---- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

static _Thread_local unsigned fail_at, allocations, failed;

/* Jansson's own scanner ends the program when it has no memory, which is not ours to prove. */
static bool is_parsing;

static bool fails(void)
{
    if (!fail_at || is_parsing || ++allocations != fail_at)
        return false;
    failed++;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

static long documents; /* blocks that are JSON's */

static void *json_memory(size_t size)
{
    void *memory = fails() ? NULL : __real_malloc(size);

    documents += memory != NULL;
    return memory;
}

static void json_free(void *memory)
{
    documents -= memory != NULL;
    free(memory);
}

/* ---- the service ---- */

static const struct sbdf dev = {0, 1, 0}, pf = {0, 2, 0};
static struct machine_builder builder;
static struct service *service;
static unsigned complained;

static void refused(void *context, const struct berth_refusal *why)
{
    (void)context;
    (void)why;
    fail_msg("a device can't be added");
}

static void service_up(void)
{
    const struct service_options options = {.capture = mb_capture(&builder)};
    struct capture_error error;

    port_posix_warp(true);
    assert_int_equal(service_create(&options, &service, &error), 0);
    assert_int_equal(service_populate(service, refused, NULL), 5);
}

/* What it had of JSON is gone, too. */
static void service_down(void)
{
    if (!service)
        return;
    service_evacuate(service);
    assert_int_equal(service_destroy(service, NULL), 0);
    service = NULL;
    assert_int_equal(documents, 0);
    port_posix_warp(false);
}

/* As session.c does it, with the answer as a line. NULL: there was no memory for it. */
static char *call_line(const char *line, int *error)
{
    const struct method *method;
    struct rpc_request request;
    char problem[256];
    struct call call = {.service = service};
    char *answer;

    is_parsing = true;
    *error = rpc_parse(line, strlen(line), &request, problem, sizeof(problem));
    is_parsing = false;
    if (*error)
        return NULL;
    method = method_find(request.method);
    assert_non_null(method);
    *error = arguments_decode(request.params, method->required, method->optional, &call.arguments,
                              problem, sizeof(problem));
    if (!*error)
        *error = method->run(&call);
    answer = *error ? rpc_error_line(request.id, *error, "failed", json_incref(call.data))
                    : rpc_result_line(request.id, json_incref(call.result));
    json_decref(call.result);
    json_decref(call.data);
    rpc_request_free(&request);
    return answer;
}

static void call_well(const char *line)
{
    int error;

    free(call_line(line, &error));
    if (error)
        print_error("    %s: %d\n", line, error);
    assert_int_equal(error, 0);
}

/* ---- what clients can ask for ---- */

#define LINE(method, params) \
    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"" method "\",\"params\":{" params "}}"
#define DEV "\"device\":\"01:00.0\""
#define PF "\"device\":\"02:00.0\""
#define VM "\"domain\":\"vm1\""

#define QUESTIONS 6

static const char *const questions[QUESTIONS] = {
    LINE("device.list", ""),     LINE("domain.list", ""),
    LINE("device.refs", DEV),    LINE("device.show", DEV),
    LINE("device.explain", DEV), LINE("config.read", DEV ",\"reg\":\"0x4.w\""),
};

struct state {
    char *answer[QUESTIONS];
    struct sim_counters counters;
    unsigned handles;
};

static void state_take(struct state *state)
{
    int error;

    for (unsigned i = 0; i < QUESTIONS; i++)
        state->answer[i] = call_line(questions[i], &error);
    sim_counters(service->sim, &state->counters);
    state->handles = service->handle_count;
}

static void state_free(struct state *state)
{
    for (unsigned i = 0; i < QUESTIONS; i++)
        free(state->answer[i]);
}

/* Generations count what has been tried, and nothing else does. */
static bool same_text(const char *a, const char *b)
{
    const char *skip = "\"generation\":";
    const char *in_a = strstr(a, skip), *in_b = strstr(b, skip);

    if (!in_a || !in_b)
        return !strcmp(a, b);
    return in_a - a == in_b - b && !strncmp(a, b, (size_t)(in_a - a)) &&
           same_text(strpbrk(in_a, ",}"), strpbrk(in_b, ",}"));
}

/* Of the first @count answers. */
static bool state_like(const struct state *a, const struct state *b, unsigned count,
                       const char **what)
{
    *what = "counters";
    if (a->handles != b->handles || a->counters.claims != b->counters.claims ||
        a->counters.contexts != b->counters.contexts || a->counters.spaces != b->counters.spaces)
        return false;
    for (unsigned i = 0; i < count; i++) {
        *what = b->answer[i];
        if (!same_text(a->answer[i], b->answer[i]))
            return false;
    }
    return true;
}

static bool state_same(const struct state *a, const struct state *b, const char **what)
{
    return state_like(a, b, QUESTIONS, what);
}

/* ---- the operations ---- */

struct operation {
    const char *prepare[4]; /* up to NULL */
    const char *line;
    bool restarts; /* what is left is done by another call (O5) */
};

#define CREATE LINE("domain.create", VM ",\"ports\":2")
#define ASSIGN LINE("device.assign", DEV "," VM)

static const struct operation operations[] = {
    {.line = LINE("device.list", "")},
    {.line = LINE("device.show", DEV)},
    {.line = LINE("device.refs", DEV)},
    {.line = LINE("device.explain", DEV)},
    {.line = LINE("domain.list", "")},
    {.line = LINE("dump", "")},
    {.line = LINE("sim.counters", "")},
    {.line = LINE("config.read", DEV ",\"reg\":\"0x0.l\"")},
    {.line = LINE("config.write", DEV ",\"reg\":\"0xc.b\",\"value\":16")},
    {.prepare = {LINE("device.remove", DEV)}, .line = LINE("device.add", DEV)},
    {.line = LINE("device.readd", DEV)},
    {.line = LINE("device.remove", DEV)},
    {.prepare = {CREATE, ASSIGN}, .line = LINE("device.remove", DEV ",\"mode\":\"force\"")},
    {.prepare = {CREATE}, .line = ASSIGN},
    {.prepare = {CREATE}, .line = LINE("device.assign", DEV "," VM ",\"group\":true")},
    {.prepare = {CREATE}, .line = LINE("device.assign", DEV "," VM ",\"test\":true")},
    {.prepare = {CREATE, ASSIGN}, .line = LINE("device.deassign", DEV)},
    {.line = LINE("device.quarantine", DEV)},
    {.prepare = {LINE("device.quarantine", DEV)}, .line = LINE("device.release", DEV)},
    {.line = LINE("device.reset", DEV)},
    {.line = LINE("device.sriov", PF ",\"vfs\":2")},
    {.prepare = {LINE("device.sriov", PF ",\"vfs\":2")},
     .line = LINE("device.sriov", PF ",\"vfs\":0")},
    {.line = LINE("device.hold", DEV)},
    {.prepare = {LINE("device.hold", DEV)}, .line = LINE("device.unhold", DEV)},
    {.line = CREATE},
    {.prepare = {CREATE, ASSIGN}, .line = LINE("domain.destroy", VM), .restarts = true},
    {.line = LINE("sim.master", DEV ",\"on\":true")},
    {.prepare = {CREATE, ASSIGN}, .line = LINE("sim.dma", DEV ",\"address\":4096")},
    {.line = LINE("sim.irq", DEV)},
    {.line = LINE("sim.bar", DEV ",\"bar\":0,\"offset\":0")},
};

static bool is_fresh; /* the service is up, and as it was prepared */

static void operation_begin(const struct operation *op)
{
    if (is_fresh)
        return;
    service_down();
    service_up();
    is_fresh = true;
    for (unsigned i = 0; i < 4 && op->prepare[i]; i++)
        call_well(op->prepare[i]);
}

static void complain(const struct operation *op, const char *how, unsigned nth, const char *what)
{
    if (complained++ < 20)
        print_error("    %s: %s %u: %s\n", op->line, how, nth, what);
}

/* Anything that is in quarantine and broken is an outcome as well (R7). */
static bool is_broken(const struct state *state)
{
    return strstr(state->answer[0], "broken") != NULL;
}

static void judge_again(const struct operation *op, const char *how, unsigned nth)
{
    int error;

    free(call_line(op->line, &error));
    if (error)
        complain(op, how, nth, "does not work again");
}

/* What is done may be answered with an error for want of memory. With all the memory that it asked
 * for, what could not be read may be missing from a guest's view (M43): lists of devices and
 * domains tell nothing of that. */
static void judge(const struct operation *op, const char *how, unsigned nth, int error,
                  const struct state *before, const struct state *done)
{
    const unsigned depth = strcmp(how, "allocation") ? 2 : QUESTIONS;
    struct state now;
    const char *what;
    bool unchanged, finished;

    state_take(&now);
    unchanged = state_same(before, &now, &what);
    finished = state_like(done, &now, error ? QUESTIONS : depth, &what);
    if (!finished && !(error && unchanged) && !is_broken(&now) && !op->restarts)
        complain(op, how, nth, what);
    is_fresh = unchanged && state_same(before, done, &what);
    if (error && !finished && (unchanged || op->restarts))
        judge_again(op, how, nth);
    state_free(&now);
}

/* ---- sweeps ---- */

/* Long lists allocate the same again and again: a short run takes every so many. */
#define ALL_UP_TO 40u
#define STRIDE 13u

static bool is_full(void)
{
    const char *how = getenv("BERTH_SWEEP");

    return how && !strcmp(how, "full");
}

/* @nth 0: undisturbed. @op: SIM_OP_COUNT for allocations. True where something has failed. */
static bool run_once(const struct operation *operation, enum sim_op op, unsigned nth, int *error)
{
    bool happened;

    allocations = failed = 0;
    if (op == SIM_OP_COUNT)
        fail_at = nth;
    else
        sim_fail(service->sim, op, nth, 0, 0);
    free(call_line(operation->line, error));
    happened = op == SIM_OP_COUNT ? failed : sim_failed(service->sim, op);
    fail_at = 0;
    if (op != SIM_OP_COUNT)
        sim_fail(service->sim, op, 0, 0, 0);
    return happened;
}

static unsigned sweep_op(const struct operation *operation, enum sim_op op,
                         const struct state *before, const struct state *done)
{
    const char *how = op == SIM_OP_COUNT ? "allocation" : sim_op_name(op);
    unsigned nth = 1, cases = 0;
    int error;

    for (;; nth += is_full() || nth < ALL_UP_TO ? 1 : STRIDE) {
        operation_begin(operation);
        if (!run_once(operation, op, nth, &error)) {
            is_fresh = false;
            return cases;
        }
        judge(operation, how, nth, error, before, done);
        cases++;
    }
}

static void sweep_operation(const struct operation *operation)
{
    struct state before, done;
    unsigned cases = 0;
    int error;

    is_fresh = false;
    operation_begin(operation);
    state_take(&before);
    (void)run_once(operation, SIM_OP_COUNT, 0, &error);
    state_take(&done);
    is_fresh = false;
    if (error)
        complain(operation, "undisturbed", 0, "fails");
    for (unsigned op = 0; op <= SIM_OP_COUNT; op++)
        cases += sweep_op(operation, (enum sim_op)op, &before, &done);
    state_free(&before);
    state_free(&done);
    service_down();
    is_fresh = false;
    if (!cases)
        complain(operation, "at the end", 0, "nothing could be made to fail");
    print_message("  %-60s %5u cases\n", operation->line, cases);
}

static void test_P2_methods(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        sweep_operation(&operations[i]);
    assert_int_equal(complained, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_P2_methods),
    };
    int left;

    json_set_alloc_funcs(json_memory, json_free);
    json_object_seed(1);
    mb_init_sized(&builder, 16);
    mb_host_bridge(&builder, at(0, 0, 0));
    mb_root_port(&builder, at(0, 1, 0), 1, 1);
    mb_endpoint(&builder, dev);
    mb_root_port(&builder, at(0, 2, 0), 2, 2);
    mb_pf(&builder, pf, 4, 128, 2);
    left = cmocka_run_group_tests(tests, NULL, NULL);
    mb_free(&builder);
    return left;
}
