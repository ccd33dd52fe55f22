// SPDX-License-Identifier: Apache-2.0
// libdrm's headers as they are; DMABufSystem/DRMNode.swift wraps them.
#include <xf86drm.h>
#include <xf86drmMode.h>
