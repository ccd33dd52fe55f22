// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABufSystem

@main
enum Program {
    static func main() {
        StandardStream.prepareProcess()
        DMABufShare.main()
    }
}

struct DMABufShare: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dmabuf-share",
        abstract: "Share device memory between processes as dma-buf file descriptors.",
        discussion: """
            Start with `dmabuf-share doctor` (what this machine can do) and `dmabuf-share demo` (the whole story).

            EXIT STATUS: 0 done, 1 failed, 2 this machine has not what it takes, 3 no registry, 4 refused by a rule, 64 usage, \
            124 deadline. With -- COMMAND: COMMAND's own, 128 + signal if it was killed; \
            126 and 127 if it cannot be run or found, as a shell has it.
            """,
        version: "0.1.0",
        subcommands: [
            DemoCommand.self, DoctorCommand.self, DevicesCommand.self, ExportCommand.self, SendCommand.self,
            ReceiveCommand.self, InspectCommand.self, ServeCommand.self, ShareCommand.self, ListCommand.self,
            ShowCommand.self, AttachCommand.self, ReadCommand.self, WriteCommand.self, CopyCommand.self,
            MoveCommand.self, RevokeCommand.self, RestoreCommand.self, FenceCommand.self, LockCommand.self,
            TokenCommand.self, CaptureCommand.self, PlayCommand.self, DisplayCommand.self, WatchCommand.self,
            RemoveCommand.self, StatsCommand.self, WorkerCommand.self, VaultCommand.self, DemoRoleCommand.self,
        ] + builtToDie)

    #if FAILPOINTS
        private static let builtToDie: [any ParsableCommand.Type] = [FailpointsCommand.self]
    #else
        private static let builtToDie: [any ParsableCommand.Type] = []
    #endif
}
