// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABufServer
import DMABufSystem
import SystemPackage

/// The registry's own: holds what is to outlive it.
struct VaultCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "registry-vault", abstract: "Hold a registry's memory.", shouldDisplay: false)

    @Argument(help: "Where to listen.")
    var path: String

    @Option(help: "How many seconds to wait for the next registry.")
    var patience: UInt32 = 60

    func run() throws {
        try OwnProcess.closeAll(but: 3)
        let first = try UnixSocket(adopting: .inherited(3))
        let limit = try ResourceLimit.openFiles()
        if limit.soft < limit.hard { try ResourceLimit.setOpenFiles(soft: limit.hard) }
        var vault = try Vault(at: path, patience: .seconds(Int64(patience)))
        try vault.run(first)
    }
}
