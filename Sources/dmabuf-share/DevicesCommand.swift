// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufDevices
import DMABufSystem
import SystemPackage

struct DevicesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "devices",
        abstract: "List what this machine can export from and import into, or watch it change.",
        discussion: """
            Exporters go by the names that --from takes, importers by those that `receive --into` takes. What cannot be used is listed with the \
            reason; `dmabuf-share doctor` says what to do about it.

            With --watch: a line for each device that comes, goes or changes, until Control-C or --seconds, and \
            "overflow" where so many changed at once that some are not told: list them again then.

            EXAMPLES:
              dmabuf-share devices
              dmabuf-share devices --json
              dmabuf-share devices --watch --seconds 60
            """)

    @Flag(help: "Print as JSON; with --watch, a line for each event.")
    var json = false

    @Flag(help: "Print devices as they come and go.")
    var watch = false

    @Option(help: ArgumentHelp("With --watch: end after so many seconds.", valueName: "seconds"))
    var seconds: Seconds?

    func validate() throws {
        if seconds != nil, !watch { throw ValidationError("--seconds goes with --watch.") }
    }

    func run() throws {
        try reporting(json: json) {
            if watch {
                try watchDevices(until: seconds.map { .after($0.duration) } ?? Deadline(nanoseconds: .max))
            } else {
                let report = DevicesReport(
                    .discover(), exporters: ExporterBackend.probeAll(), importers: ImporterBackend.probeAll())
                try emit(report, json: json)
            }
        }
    }

    private func watchDevices(until deadline: Deadline) throws {
        do {
            let interrupt = try SignalFD.termination()
            let monitor = try HotplugMonitor()
            note("watching; Control-C ends it")
            while let event = try monitor.next(until: deadline, unless: interrupt.descriptor) {
                try emit(HotplugReport(event), json: json)
            }
        } catch let error as Errno {
            throw DMABufError.system("watch devices", error)
        }
    }
}

/// One line of `devices --watch`.
struct HotplugReport: Report {
    /// "add", "remove", "change" or "overflow".
    let event: String
    let subsystem: String?
    let name: String?
    let path: String?

    init(_ hotplug: HotplugEvent) {
        let device: HotplugDevice?
        switch hotplug {
        case .added(let added): (event, device) = ("add", added)
        case .removed(let removed): (event, device) = ("remove", removed)
        case .changed(let changed): (event, device) = ("change", changed)
        case .overflow: (event, device) = ("overflow", nil)
        }
        (subsystem, name, path) = (device?.subsystem, device?.name, device?.path)
    }

    var text: String {
        [event, subsystem, path ?? name].compactMap { $0?.escapedForDisplay }.joined(separator: "  ") + "\n"
    }
}
