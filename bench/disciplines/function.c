/* SPDX-License-Identifier: MIT */
#include "bench/disciplines/function.h"

#define REG_COMMAND 4u
#define COMMAND_MASTER 4u

int function_take(struct function *function, struct bench_host *host, struct sbdf sbdf)
{
    int error = bench_host_ops.claim(host, sbdf, &function->claim);

    if (error)
        return error;
    function->host = host;
    function->sbdf = sbdf;
    return bench_iommu_ops.attach(host, sbdf, host);
}

int function_quiet(struct function *function)
{
    struct bench_host *host = function->host;
    uint32_t command;
    int error = bench_host_ops.config_read(host, function->claim, REG_COMMAND, 2, &command);

    if (!error)
        error = bench_host_ops.config_write(host, function->claim, REG_COMMAND, 2,
                                            command & ~COMMAND_MASTER);
    if (!error)
        error = bench_iommu_ops.detach(host, function->sbdf);
    return error ? error : bench_iommu_ops.flush(host, function->sbdf, host);
}

void function_give(struct function *function)
{
    bench_host_ops.release(function->host, function->claim);
}
