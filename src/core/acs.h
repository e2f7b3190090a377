/* SPDX-License-Identifier: MIT */
/*
 * Access Control Services (PCIe 6.12): from where on the bridges above a device let its requests
 * reach other devices without passing the IOMMU.
 */
#ifndef CORE_ACS_H
#define CORE_ACS_H

#include "src/core/device.h"

/**
 * Turns isolation on where the function can, and latches what is on (M26). @before receives the
 * control register as it was. Inside a section. 0 or -EIO.
 */
int acs_enable(struct pcidev *dev, uint16_t *before);

/**
 * Names the topmost point from which on nothing separates: a function by itself, the functions of
 * one card, or what is behind a bridge. Devices with the same point can reach one another.
 * Bridges that are not registered are not known. Needs no lock.
 */
uint64_t acs_path(struct pcidev *dev);

#endif
