// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage
import TestSupport
import Testing

@testable import DMABufDevices

@Suite("Events of a real device", .serialized, .leavesNoDescriptor)
struct KernelHotplugTests {
    @Test("leaving the loop ends it too", .requires("root", "vgem"))
    func leavingTheLoop() async throws {
        try await nothingStays {
            let card = try VGEM.open().name
            let hotplug = try Hotplug()
            try raise("change", card)
            for try await event in hotplug where event == .changed(device(card)) { break }
        }
    }

    @Test("add, change and remove of a real device arrive, in order", .requires("root", "vgem"))
    func events() async throws {
        try await nothingStays {
            let card = try VGEM.open().name
            let hotplug = try Hotplug()
            for action in ["add", "change", "remove", "add"] { try raise(action, card) }
            var seen: [HotplugEvent] = []
            for try await event in hotplug where about(event) == device(card) {
                seen.append(event)
                if seen.count == 4 { break }
            }
            let vgem = device(card)
            #expect(seen == [.added(vgem), .changed(vgem), .removed(vgem), .added(vgem)])
        }
    }

    @Test("more events than there is room for give an overflow, then go on", .requires("root", "vgem"))
    func overflow() async throws {
        try await nothingStays {
            let card = try VGEM.open().name
            let hotplug = try Hotplug(capacity: 4)
            for _ in 0..<40 { try raise("change", card) }
            // The thread has read them all by the time that the last one is asked for.
            try nap(.seconds(2))
            var iterator = hotplug.makeAsyncIterator()
            #expect(try await iterator.next() == .overflow)
            try raise("add", card)
            while let event = try await iterator.next() {
                if event == .added(device(card)) { break }
                #expect(event != .overflow)
            }
        }
    }

    @Test("a burst that the kernel has no room for gives an overflow", .requires("root", "vgem"))
    func kernelOverflow() throws {
        // Root gets room for 200,000 events, so another user listens: 443 with the limits of Linux 6.12, 8738 with those
        // of 7.3. Stopped, it reads none.
        let script = """
            folder=$(mktemp -d) && chmod 755 "$folder" && cp "$1" "$folder/tool" && exec 2>"$folder/errors" || exit 1
            setpriv --reuid 65534 --clear-groups "$folder/tool" devices --watch --seconds 60 >"$folder/events" & tool=$!
            while ! grep -q watching "$folder/errors"; do kill -0 $tool || exit 2; sleep 0.1; done
            kill -STOP $tool
            count=0
            while [ $count -lt 15000 ]; do echo change >"/sys/class/drm/$2/uevent"; count=$((count + 1)); done
            echo add >"/sys/class/drm/$2/uevent"
            kill -CONT $tool
            while ! grep -q ^overflow "$folder/events"; do kill -0 $tool || exit 3; sleep 0.1; done
            echo remove >"/sys/class/drm/$2/uevent"
            while ! grep -q ^remove "$folder/events"; do kill -0 $tool || exit 4; sleep 0.1; done
            kill -INT $tool
            wait $tool
            status=$?
            rm -rf "$folder"
            exit $status
            """
        let program = String(decoding: try Sysfs.link("/proc/self/exe"), as: UTF8.self)
        let tool = program.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/dmabuf-share"
        let arguments = ["sh", "-c", script, "sh", tool, try VGEM.open().name]
        let child = try ChildProcess(
            CommandWord.words(arguments), environment: OwnProcess.environment, descriptors: DescriptorList())
        #expect(try child.wait(until: .after(.seconds(90))) == .exited(0))
    }

    @Test(
        "whoever has a backend is told that its device has gone, and that it came back",
        .requires("guest", "root", "v4l2:video0", "kms:card0"),
        arguments: [("video0", "v4l2:video0"), ("video1", "v4l2:video1"), ("card0", "kms:card0")])
    func goneAndBack(node: String, backend: String) async throws {
        try await nothingStays {
            let device = try BoundDevice(of: node)
            let hotplug = try Hotplug()
            try device.unbind()
            let removed = try await hotplug.first { $0.concerns(backend) }
            guard case .removed(let gone) = removed else {
                Issue.record("\(String(describing: removed))")
                return try device.bind()
            }
            #expect(gone.name == node)
            try device.bind()
            #expect(try await hotplug.first { $0.concerns(backend) } == .added(gone))
        }
    }

    private func raise(_ action: String, _ card: String) throws {
        try Descriptor.open("/sys/class/drm/\(card)/uevent", .readWrite).write(action)
    }

    private func device(_ card: String) -> HotplugDevice {
        HotplugDevice(subsystem: "drm", name: card, path: "/dev/dri/\(card)")
    }

    private func about(_ event: HotplugEvent) -> HotplugDevice? {
        switch event {
        case .added(let device), .removed(let device), .changed(let device): device
        case .overflow: nil
        }
    }
}
