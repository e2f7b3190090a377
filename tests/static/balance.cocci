// SPDX-License-Identifier: MIT
//
// References and sections that a function takes, and does not give back: the marked
// lines are where it leaves with them. balance.sh runs it; what is guarded, and
// closes itself, has another type by then.

@checked exists@
local idexpression struct pcidev *dev;
identifier take =~ "^(pcidev_(find|find_rid|next|handle_open)|berth_domain_next_device|device_try_get|topology_(bridge|bridge_or_busy|behind))$";
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
identifier take =~ "^(pcidev_next|berth_domain_next_device|topology_behind)$";
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
identifier take =~ "^(pcidev_next|berth_domain_next_device|topology_behind)$";
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

// Domains. Those who keep what they got, by name: a transition its owner to the end, a requester id
// the owner that it counts for, the embedder what was created.
@owner exists@
local idexpression struct berth_domain *domain;
identifier take =~ "^berth_domain_(find|find_name|next|create)$";
expression e, e1;
statement S1, S2;
@@
  domain = take(...)
  ... when != berth_domain_put(domain)
      when != domain = e
      when != e1 = domain
(
  if (!domain) S1
|
  if (domain) S1 else S2
)
  ... when != berth_domain_put(domain)
      when != domain = e
      when != e1 = domain
(
  return domain;
|
* return ...;
)

@another_owner exists@
identifier f !~ "^(transition_begin|stake_count|berth_domain_create)$";
expression domain;
@@
  f(...)
  {
  ...
  berth_domain_get(domain);
  ... when != berth_domain_put(domain)
* return ...;
  ... when any
  }

@refused exists@
local idexpression struct pcidev_section section;
identifier enter =~ "^(pcidev_enter|access_open|vpci_enter|owner_enter)$";
statement S;
@@
  if (!enter(..., &section)) S
  ... when != pcidev_exit(&section)
      when != access_close(&section)
* return ...;

@entered exists@
local idexpression struct pcidev_section section;
identifier enter =~ "^(pcidev_enter|access_open|vpci_enter|owner_enter)$";
@@
  if (enter(..., &section)) {
  ... when != pcidev_exit(&section)
      when != access_close(&section)
* return ...;
  ... when any
  }
