// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage
import TestSupport
import Testing

/// How `display` ends, and what is on the screen then.
@Suite("The end of a display", .leavesNoDescriptor, .requires("kms:card0", "vgem", "screenshot"))
struct KernelDisplayEndTests {
    private let limit = Deadline.after(.seconds(240))

    enum End: CaseIterable {
        case removed, revoked, revokedForGood, ownerKilled, interrupted
    }

    @Test("it ends with what it shows, and gives the screen back", arguments: End.allCases)
    func ends(how: End) throws {
        let before = try ScreenPicture.take()
        let registry = try RunningRegistry()
        let owner = try registry.start("share", "frame", "--image", "640x480:XR24", "--from", "vgem")
        try wait { try registry.run("list").output.contains("frame") }
        let display = try RunningDisplay(registry, "frame", "--on", "kms:card0", "--json")
        #expect(try ScreenPicture.take() != before)
        switch how {
        case .removed: #expect(try registry.run("remove", "frame").status == 0)
        case .revoked:
            let run = try registry.run("revoke", "frame", "--within", "5")
            #expect(run.output.hasPrefix("cooperative"), "\(run)")
        case .revokedForGood:
            let run = try registry.run("revoke", "frame", "--within", "5", "--final")
            #expect(run.status == 0, "\(run)")
        case .ownerKilled: try owner.send(.kill)
        case .interrupted: try display.send(.interrupt)
        }
        let run = try display.finish()
        #expect(run.status == 0 && run.errors.isEmpty, "\(how): \(run)")
        let because =
            switch how {
            case .removed: "\"withdrawn\""
            case .revoked, .revokedForGood: "\"revoke\""
            case .ownerKilled: "\"ownerGone\""
            case .interrupted: "null"
            }
        #expect(run.output.split(separator: "\n").last?.contains(#""because":\#(because)"#) == true, "\(how): \(run)")
        #expect(try ScreenPicture.take() == before)
        try owner.send(.terminate)
        _ = try owner.finish()
        // Nothing keeps the memory.
        try wait { try registry.run("list").output == "no buffers\n" }
        _ = try registry.stop()
    }

    @Test("frames that were asked for and not shown are a failure")
    func tooFew() throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--image", "640x480:XR24", "--from", "vgem", "--keep").status == 0)
        let display = try RunningDisplay(registry, "frame", "--on", "kms:card0", "--frames", "100000")
        #expect(try registry.run("remove", "frame").status == 0)
        let run = try display.finish()
        #expect(run.status == 1 && run.errors.contains("of 100000 frames"), "\(run)")
        _ = try registry.stop()
    }

    @Test("the registry's end is an error, and the screen is given back")
    func registryEnds() throws {
        let before = try ScreenPicture.take()
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--image", "640x480:XR24", "--from", "vgem", "--keep").status == 0)
        let display = try RunningDisplay(registry, "frame", "--on", "kms:card0")
        _ = try registry.stop()
        let run = try display.finish()
        #expect(run.status == 1 && !run.errors.isEmpty, "\(run)")
        #expect(try ScreenPicture.take() == before)
    }

    /// The kernel takes the framebuffer away and switches the output off. Where nobody else has the card open, the console
    /// comes back. Until then the emulated screen, which is off, still shows what its own memory has.
    @Test(
        "killed: the kernel brings the console back, once nobody has the card open",
        arguments: [true, false])
    func killed(isOpenElsewhere: Bool) throws {
        let before = try ScreenPicture.take()
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--image", "640x480:XR24", "--from", "vgem", "--keep").status == 0)
        let image = TestImage(61)
        try RegistryConnection(at: registry.socket, until: limit).paint(image, "frame")
        do {
            let other = isOpenElsewhere ? try DRMNode("card0") : nil
            let display = try RunningDisplay(registry, "frame", "--on", "kms:card0")
            #expect(try ScreenPicture.take() == image.picture)
            #expect(Self.isOn)
            try display.send(.kill)
            #expect(try display.finish().status == 137)
            #expect(try ScreenPicture.take() == (other == nil ? before : image.picture))
            #expect(Self.isOn == (other == nil))
        }
        // With the last file of the card's the console comes back in either case.
        try waitForScreen(before)
        // The registry has noticed, and nothing of the screen's has the memory.
        try wait { try registry.run("show", "frame", "--json").output.contains(#""attachments":0"#) }
        #expect(!(Sysfs.text("/sys/kernel/debug/dri/0/framebuffer") ?? "").contains("dmabuf-share"))
        _ = try registry.stop()
    }

    /// As debugfs says of the one CRTC that the card has.
    private static var isOn: Bool {
        (Sysfs.text("/sys/kernel/debug/dri/0/state") ?? "").contains("\tactive=1\n")
    }

    @Test("the device goes away: that is said")
    func gone() throws {
        let registry = try RunningRegistry()
        #expect(try registry.run("share", "frame", "--image", "640x480:XR24", "--from", "vgem", "--keep").status == 0)
        let display = try RunningDisplay(registry, "frame", "--on", "kms:card0", "--json")
        let unbound = try Running([
            "sh", "-c",
            """
            device=$(readlink -f /sys/class/drm/card0/device) && driver=$(readlink -f $device/driver) &&
            echo ${device##*/} >$driver/unbind; sleep 3; echo ${device##*/} >$driver/bind
            """,
        ]).finish()
        #expect(unbound.status == 0, "\(unbound)")
        let run = try display.finish()
        #expect(run.status == 1 && run.errors.contains(#""code":"gone""#), "\(run)")
        try wait { DRMNode.names.contains("card0") }
        let again = try registry.run("display", "frame", "--on", "kms:card0", "--frames", "2")
        #expect(again.status == 0, "\(again)")
        _ = try registry.stop()
    }
}
