// SPDX-License-Identifier: MIT
//
// References and sections that a function takes, and does not give back: the marked
// lines are where it leaves with them. balance.sh runs it; what is guarded, and
// closes itself, has another type by then.

@checked exists@
local idexpression struct pcidev *dev;
identifier take =~ "^(pcidev_(find|find_rid|next|handle_open)|berth_domain_next_device)$";
expression e, e1;
statement S1, S2;
@@
  dev = take(...)
  ... when != pcidev_put(dev, ...)
      when != pcidev_handle_close(dev)
      when != dev = e
      when != e1 = dev
(
  if (!dev) S1
|
  if (dev) S1 else S2
)
  ... when != pcidev_put(dev, ...)
      when != pcidev_handle_close(dev)
      when != dev = e
      when != e1 = dev
(
  return dev;
|
* return ...;
)

// pcidev_get() never gives NULL; there is no check to wait for.
@another exists@
local idexpression struct pcidev *dev;
expression e, e1;
@@
  dev = pcidev_get(...)
  ... when != pcidev_put(dev, ...)
      when != dev = e
      when != e1 = dev
(
  return dev;
|
* return ...;
)

@walk exists@
local idexpression struct pcidev *dev;
identifier take =~ "^(pcidev_next|berth_domain_next_device)$";
expression e, e1;
@@
  while ((dev = take(...)) != NULL)
  {
  ... when != pcidev_put(dev, ...)
      when != dev = e
      when != e1 = dev
(
  return dev;
|
* return ...;
)
  ... when any
  }

@loop exists@
local idexpression struct pcidev *dev;
identifier take =~ "^(pcidev_next|berth_domain_next_device)$";
expression e, e1, e2;
@@
  for (dev = take(...); dev != NULL; e2)
  {
  ... when != pcidev_put(dev, ...)
      when != dev = e
      when != e1 = dev
(
  return dev;
|
* return ...;
)
  ... when any
  }

@refused exists@
local idexpression struct pcidev_section section;
statement S;
@@
  if (!pcidev_enter(..., &section)) S
  ... when != pcidev_exit(&section)
* return ...;

@entered exists@
local idexpression struct pcidev_section section;
@@
  if (pcidev_enter(..., &section)) {
  ... when != pcidev_exit(&section)
* return ...;
  ... when any
  }
