// SPDX-License-Identifier: Apache-2.0

import DMABufSystem

/// Where the registry serves.
public enum RegistryAddress {
    public static let variable = "DMABUF_SHARE_SOCKET"

    /// `$DMABUF_SHARE_SOCKET`; else root's, or that of this user's run-time folder. nil where this user has none.
    public static var standard: String? {
        if let path = OwnProcess.environment(variable), !path.isEmpty { return path }
        if OwnProcess.userID == 0 { return "/run/dmabuf-share/registry.sock" }
        return OwnProcess.environment("XDG_RUNTIME_DIR").map { "\($0)/dmabuf-share/registry.sock" }
    }
}
