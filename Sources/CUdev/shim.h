// SPDX-License-Identifier: Apache-2.0
// libudev's header as it is; DMABufSystem/Udev.swift wraps it.
#include <libudev.h>
