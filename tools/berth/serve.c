/* SPDX-License-Identifier: MIT */
/*
 * `berth serve`: the process that owns the machine.
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/control/arguments.h"
#include "front/control/server.h"
#include "tools/berth/commands.h"
#include "tools/berth/machine.h"

#define PROBLEM_SIZE 512

enum {
    KEY_SOCKET = 's',
    KEY_MACHINE = 'm',
    KEY_QUARANTINE = 0x100,
    KEY_RESERVED_RELAXED,
    KEY_REQUIRE_RESET,
    KEY_SHARED_GROUPS,
    KEY_HIDE,
    KEY_READ_ONLY,
    KEY_PHANTOM,
    KEY_TIMEOUT,
    KEY_IDLE,
    KEY_FAULT,
};

static const struct argp_option options[] = {
    {"socket", KEY_SOCKET, "PATH", 0, "Where clients connect", 0},
    {"machine", KEY_MACHINE, "MACHINE", 0,
     "A capture (`lspci -xxxx` text; - reads standard input), \"host\" for this machine's "
     "functions, \"q35\" for the capture that Berth ships. The default is host, or q35 where the "
     "host has no PCI function",
     0},
    {"quarantine", KEY_QUARANTINE, "block|scratch|off", 0,
     "What happens to the DMA of a device that left its guest (block)", 0},
    {"reserved-relaxed", KEY_RESERVED_RELAXED, NULL, 0,
     "Lend devices that need reserved memory, although that opens a hole", 0},
    {"require-reset", KEY_REQUIRE_RESET, NULL, 0, "Do not lend a device that cannot be reset", 0},
    {"shared-groups", KEY_SHARED_GROUPS, NULL, 0,
     "Lend devices apart that the IOMMU cannot keep apart", 0},
    {"hide", KEY_HIDE, "BDF", 0, "Keep a device for the hypervisor; may be repeated", 0},
    {"read-only", KEY_READ_ONLY, "BDF", 0, "Let nobody write a device's config space; the same", 0},
    {"phantom", KEY_PHANTOM, "BDF=STRIDE", 0,
     "A device uses phantom functions 1, 2 or 4 apart without saying so; the same", 0},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0, "Deadline of commands that name none (2)", 0},
    {"idle", KEY_IDLE, "SECONDS", 0, "Drop clients that ask nothing for so long (30)", 0},
    {"fault-injection", KEY_FAULT, "OP=N[,ERROR]", 0,
     "Let the N-th call of a host operation fail, from the first device on; may be repeated", 0},
    {0},
};

struct list {
    void *items;
    uint32_t count;
};

struct serve {
    char socket[ENDPOINT_PATH_SIZE];
    const char *machine;
    struct service_options options;
    uint64_t idle_ms;
    struct list hidden, read_only, phantoms, faults;
};

/* ---- options ---- */

static void list_append(struct list *list, const void *item, size_t size)
{
    char *grown = realloc(list->items, (list->count + 1) * size);

    if (!grown) {
        fprintf(stderr, "berth: out of memory\n");
        exit(EXIT_REFUSED);
    }
    memcpy(grown + list->count++ * size, item, size);
    list->items = grown;
}

static void address_append(struct list *list, const char *text, struct argp_state *state)
{
    struct sbdf sbdf;

    if (sbdf_parse(text, &sbdf))
        argp_error(state, "\"%.64s\": expected %s", text, value_expects(VALUE_SBDF));
    list_append(list, &sbdf, sizeof(sbdf));
}

static void phantom_append(struct list *list, char *text, struct argp_state *state)
{
    struct berth_phantom_override phantom;
    char *stride = strchr(text, '=');

    if (stride)
        *stride++ = '\0';
    if (!stride || sbdf_parse(text, &phantom.sbdf) || strlen(stride) != 1 ||
        !strchr("124", *stride))
        argp_error(state, "--phantom: expected an address, \"=\", and 1, 2 or 4");
    else
        phantom.stride = (uint8_t)(*stride - '0');
    list_append(list, &phantom, sizeof(phantom));
}

static int fault_parse(char *text, struct service_fault *fault)
{
    char *nth = strchr(text, '=');
    char *error = strchr(text, ',');
    json_t *params = json_object();
    struct arguments arguments;
    char problem[PROBLEM_SIZE];
    int result = -EINVAL;

    if (nth)
        *nth++ = '\0';
    if (error)
        *error++ = '\0';
    json_object_set_new(params, "op", json_string(text));
    json_object_set_new(params, "nth", nth ? value_parse(VALUE_NUMBER, nth) : NULL);
    if (error)
        json_object_set_new(params, "error", json_string(error));
    result = arguments_decode(params, PARAMETER_OP | PARAMETER_NTH, PARAMETER_ERROR, &arguments,
                              problem, sizeof(problem));
    json_decref(params);
    *fault =
        (struct service_fault){(enum sim_op)arguments.op, arguments.nth, -(int)arguments.error};
    return result;
}

static void fault_append(struct list *list, char *text, struct argp_state *state)
{
    struct service_fault fault;

    if (fault_parse(text, &fault))
        argp_error(state, "--fault-injection: expected an operation such as attach, \"=\", the "
                          "number of a call, and perhaps a comma and an error such as EIO");
    list_append(list, &fault, sizeof(fault));
}

static uint64_t seconds_parse(const char *text, struct argp_state *state)
{
    json_t *value = value_parse(VALUE_SECONDS, text);
    double seconds = json_number_value(value);

    json_decref(value);
    if (!(seconds >= 0.001 && seconds <= ARGUMENTS_TIMEOUT_MAX_S))
        argp_error(state, "\"%.64s\": expected seconds, from 0.001 to 3600", text);
    return (uint64_t)(seconds * 1e9);
}

static enum berth_quarantine quarantine_parse(const char *text, struct argp_state *state)
{
    static const char *const words[] = {
        [BERTH_QUARANTINE_BLOCK] = "block",
        [BERTH_QUARANTINE_SCRATCH] = "scratch",
        [BERTH_QUARANTINE_OFF] = "off",
    };

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!strcmp(text, words[i]))
            return (enum berth_quarantine)i;
    }
    argp_error(state, "--quarantine: expected block, scratch or off");
    return BERTH_QUARANTINE_BLOCK;
}

static void socket_parse(struct serve *serve, const char *path, struct argp_state *state)
{
    if (!*path || strlen(path) >= sizeof(serve->socket))
        argp_error(state, "the path of a socket has 1 to %zu characters",
                   sizeof(serve->socket) - 1);
    strcpy(serve->socket, path);
}

static error_t key_parse(int key, char *text, struct argp_state *state)
{
    struct serve *serve = state->input;
    struct berth_policy *policy = &serve->options.policy;

    switch (key) {
    case KEY_SOCKET:
        socket_parse(serve, text, state);
        return 0;
    case KEY_MACHINE:
        serve->machine = text;
        return 0;
    case KEY_QUARANTINE:
        policy->quarantine = quarantine_parse(text, state);
        return 0;
    case KEY_RESERVED_RELAXED:
        policy->reserved_relaxed = true;
        return 0;
    case KEY_REQUIRE_RESET:
        policy->require_reset = true;
        return 0;
    case KEY_SHARED_GROUPS:
        policy->shared_groups = true;
        return 0;
    case KEY_HIDE:
        address_append(&serve->hidden, text, state);
        return 0;
    case KEY_READ_ONLY:
        address_append(&serve->read_only, text, state);
        return 0;
    case KEY_PHANTOM:
        phantom_append(&serve->phantoms, text, state);
        return 0;
    case KEY_TIMEOUT:
        policy->deadline_ns = seconds_parse(text, state);
        return 0;
    case KEY_IDLE:
        serve->idle_ms = seconds_parse(text, state) / 1000000;
        return 0;
    case KEY_FAULT:
        fault_append(&serve->faults, text, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void options_parse(int argc, char **argv, struct serve *serve)
{
    const struct argp argp = {
        .options = options,
        .parser = key_parse,
        .doc = "Own a machine's devices until SIGTERM or SIGINT.",
    };
    char name[] = "berth serve";
    int error;

    argv[0] = name;
    error = endpoint_default_path(serve->socket);
    argp_parse(&argp, argc, argv, ARGP_NO_ARGS, NULL, serve);
    if (error && !serve->socket[0]) {
        fprintf(stderr, "berth: the path of the default socket is too long: use --socket\n");
        exit(EXIT_USAGE);
    }
    serve->options.hidden = serve->hidden.items;
    serve->options.hidden_count = serve->hidden.count;
    serve->options.read_only = serve->read_only.items;
    serve->options.read_only_count = serve->read_only.count;
    serve->options.phantoms = serve->phantoms.items;
    serve->options.phantom_count = serve->phantoms.count;
    serve->options.faults = serve->faults.items;
    serve->options.fault_count = serve->faults.count;
}

static void options_free(struct serve *serve)
{
    free(serve->hidden.items);
    free(serve->read_only.items);
    free(serve->phantoms.items);
    free(serve->faults.items);
}

/* ---- start, serve, end ---- */

static void refusal_tell(void *context, const struct berth_refusal *why)
{
    char text[256];

    (void)context;
    berth_refusal_text(why, text, sizeof(text));
    fprintf(stderr, "berth: not added: %s\n", text);
}

static void leak_tell(const struct berth_event *event)
{
    char text[SBDF_TEXT_SIZE];

    fprintf(stderr, "berth: %s is still referenced by \"%s\"\n", sbdf_format(event->device, text),
            event->step ? event->step : "?");
}

static int service_start(struct serve *serve, struct service **service)
{
    struct capture_error error;
    char problem[PROBLEM_SIZE];
    struct capture capture;
    int result = machine_load(serve->machine, &capture, problem, sizeof(problem));

    if (result) {
        fprintf(stderr, "berth: %s\n", problem);
        return result;
    }
    serve->options.capture = &capture;
    result = service_create(&serve->options, service, &error);
    if (result)
        fprintf(stderr, "berth: the machine cannot be built: %s\n",
                error.text[0] ? error.text : strerror(-result));
    capture_free(&capture);
    return result;
}

static int socket_open(const struct serve *serve)
{
    int fd = endpoint_listen(serve->socket);

    if (fd == -EADDRINUSE)
        fprintf(stderr, "berth: another server answers at %s: end it, or choose another --socket\n",
                serve->socket);
    else if (fd == -EEXIST)
        fprintf(stderr, "berth: %s is no socket: choose another --socket\n", serve->socket);
    else if (fd < 0)
        fprintf(stderr, "berth: %s: %s\n", serve->socket, strerror(-fd));
    return fd;
}

static int serve_clients(const struct serve *serve, struct service *service, int fd)
{
    const struct server_options server = {
        .fd = fd, .path = serve->socket, .idle_ms = serve->idle_ms};
    unsigned added = service_populate(service, refusal_tell, NULL);
    int error;

    printf("serving %u PCI functions on %s\n", added, serve->socket);
    fflush(stdout);
    error = server_run(service, &server);
    if (error)
        fprintf(stderr, "berth: %s: %s\n", serve->socket, strerror(-error));
    return error;
}

static int serve_socket(struct serve *serve, int fd)
{
    struct service *service;
    unsigned left;
    int error = service_start(serve, &service);

    if (error) {
        close(fd);
        unlink(serve->socket);
        return EXIT_REFUSED;
    }
    error = serve_clients(serve, service, fd);
    left = service_destroy(service, leak_tell);
    if (left)
        fprintf(stderr, "berth: %u references were left\n", left);
    return error || left ? EXIT_REFUSED : EXIT_SUCCESS;
}

int cmd_serve(int argc, char **argv)
{
    struct serve serve = {0};
    int code = EXIT_REFUSED;
    int fd;

    options_parse(argc, argv, &serve);
    signal(SIGPIPE, SIG_IGN);
    fd = socket_open(&serve);
    if (fd >= 0)
        code = serve_socket(&serve, fd);
    options_free(&serve);
    return code;
}
