// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import Synchronization
import SystemPackage

/// A graphics processor, through its Vulkan driver: it takes in what others share, lends memory of its own, and copies; after
/// the fences that there are, and with one of its own.
///
/// The library is looked for when the first is opened, and drivers run inside this process: see ``VulkanInstance``.
public final class GPU: Sendable {
    /// "vulkan:0", by the loader's order.
    public let name: String
    /// The device's own name and its driver's: "llvmpipe (LLVM 15.0.6, 256 bits)".
    public let model: String
    public let driver: String
    /// What it needs to take a buffer in; of an image, what it copies as an image.
    public let requirements: Requirements
    /// Whether fences go in and come out as sync_files. Where the driver runs on the CPU, this process waits for those that go
    /// in all the same.
    public var exchangesFences: Bool { device.sharesSyncFiles }
    let device: VulkanDevice
    let images: [VulkanPhysicalDevice.ImageSupport]
    /// What the device has been told and has not done, as far as somebody has looked.
    private let underWay = Mutex<[VulkanWork]>([])
    /// Of these, at most; then the oldest is waited for.
    private static let workLimit = 64
    /// How long the end of a GPU waits for what is under way; then it is left to the driver.
    private static let patience = Duration.seconds(10)

    /// Opens the device with that number. Throws `unavailable` if there is no Vulkan or no such device, `unsupported` if its
    /// driver knows nothing of dma-bufs.
    public init(_ index: Int = 0) throws(DMABufError) {
        let name = "vulkan:\(index)"
        let devices = try Self.physicalDevices(for: name)
        guard devices.indices.contains(index) else {
            throw DMABufError(
                .unavailable, "\(name): there is no such device: Vulkan's drivers have \(devices.count)",
                remedy: devices.isEmpty ? "install a driver: package mesa-vulkan-drivers" : "name a lower number")
        }
        let physical = devices[index]
        guard physical.knowsDMABufs else {
            throw DMABufError(
                .unsupported, "\(name): \(physical.driver) lacks VK_EXT_external_memory_dma_buf",
                remedy: "a newer driver may have it: Mesa's have since version 25, for every device")
        }
        device = try vulkan("\(name): open \(physical.name)") { () throws(VulkanFailure) in try VulkanDevice(physical) }
        images = physical.images()
        self.name = name
        model = physical.name
        driver = physical.driver
        requirements = Requirements(party: name, physical, sharing: device.sharesBuffers, images)
    }

    deinit {
        let deadline = Deadline.after(Self.patience)
        for work in underWay.withLock({ $0 }) where (try? work.wait(until: deadline)) != true { work.abandon() }
    }

    /// How many devices Vulkan's drivers have; zero where there is no Vulkan.
    static var count: Int { (try? physicalDevices(for: "vulkan").count) ?? 0 }

    private static func physicalDevices(for name: String) throws(DMABufError) -> [VulkanPhysicalDevice] {
        do throws(VulkanFailure) { return try VulkanInstance().devices() } catch {
            throw DMABufError(
                .unavailable, "\(name): there is no Vulkan: \(error)",
                remedy: "install the loader and a driver: packages libvulkan1 and mesa-vulkan-drivers")
        }
    }

    // MARK: Work

    /// Has the device begin `command` after `fence`, and holds what it works on until it is done. The fence of the work; nil
    /// if it is done already.
    ///
    /// A fence that the device cannot wait for, this process waits for, until `deadline`; then nothing has been begun. After any
    /// other error work that was begun has ended, unless it hung.
    func submit(
        _ command: VulkanCommand, after fence: Fence?, until deadline: Deadline
    ) throws(DMABufError) -> Fence? {
        try makeRoom(until: deadline)
        let before = try semaphore(of: fence, until: deadline)
        let work = try vulkan("\(name): give it work") { () throws(VulkanFailure) in
            try VulkanWork(command, on: device, after: before, raising: exchangesFences)
        }
        underWay.withLock { $0.append(work) }
        guard exchangesFences else {
            // It is under way: what is left of the deadline is no reason to leave it alone with the memory of others.
            try finish(work, until: max(deadline, .after(Self.patience)))
            return nil
        }
        do throws(DMABufError) {
            return try vulkan("\(name): ask for the fence of its work") { () throws(VulkanFailure) in
                guard let file = try work.takeSyncFile() else { return nil }
                return Fence(knownSyncFile: file)
            }
        } catch {
            try? finish(work, until: .after(Self.patience))
            throw error
        }
    }

    /// Puts the fence of work into reservations, and returns it. Where that fails, nobody would know of the work: so it is waited
    /// for. nil then if it is only that the kernel (before 6.0) takes no fences: the work is done.
    func tell(_ done: Fence, _ add: () throws(DMABufError) -> Void) throws(DMABufError) -> Fence? {
        do throws(DMABufError) { try add() } catch {
            try done.wait(until: .after(Self.patience))
            guard error.cause == .inappropriateIOCTLForDevice else { throw error }
            return nil
        }
        return done
    }

    /// Lets go of what finished work has worked on. So does the next work, and the end of a ``GPUBuffer``.
    public func collect() {
        underWay.withLock { works in works.removeAll { (try? $0.wait(until: .now())) != false } }
    }

    /// Whether this process waits for fences before it submits work. A driver that runs on the CPU (Mesa's lavapipe) holds up
    /// whoever asks for the fence of work that waits, and for as long as it waits: so this waits first, and no longer than it
    /// may.
    var waitsItself: Bool { !exchangesFences || device.physical.kind == .cpu }

    private func semaphore(of fence: Fence?, until deadline: Deadline) throws(DMABufError) -> VulkanSemaphore? {
        guard let fence else { return nil }
        if waitsItself || fence.kind != .syncFile { try fence.wait(until: deadline) }
        guard exchangesFences, fence.kind == .syncFile else { return nil }
        return try vulkan("\(name): have it wait for a fence") { () throws(VulkanFailure) in
            try VulkanSemaphore(device, from: fence.descriptor)
        }
    }

    private func makeRoom(until deadline: Deadline) throws(DMABufError) {
        collect()
        guard let oldest = underWay.withLock({ $0.count >= Self.workLimit ? $0[0] : nil }) else { return }
        try finish(oldest, until: deadline)
    }

    private func finish(_ work: VulkanWork, until deadline: Deadline) throws(DMABufError) {
        let isDone = try vulkan("\(name): wait for its work") { () throws(VulkanFailure) in
            try work.wait(until: deadline)
        }
        guard isDone else {
            throw DMABufError(
                .deadline, "\(name): waited in vain for its work", cause: .timedOut,
                remedy: "it may wait for a fence of somebody who hangs; or allow more time")
        }
        underWay.withLock { works in works.removeAll { $0 === work } }
    }
}

/// Runs a call of Vulkan's and turns what it says into an error that says what was tried.
func vulkan<Value: ~Copyable>(
    _ operation: @autoclosure () -> String, _ call: () throws(VulkanFailure) -> Value
) throws(DMABufError) -> Value {
    do throws(VulkanFailure) { return try call() } catch {
        let message = "\(operation()): \(error)"
        switch error {
        case .missing: throw DMABufError(.unsupported, message)
        case .refused(_, VulkanFailure.deviceLost):
            throw DMABufError(.gone, message, remedy: "the device hung or was unplugged; open it anew")
        case .refused(_, VulkanFailure.outOfDeviceMemory), .refused(_, VulkanFailure.outOfHostMemory):
            throw DMABufError(.failed, message, cause: .noMemory, remedy: "free memory, or ask for a smaller buffer")
        case .refused: throw DMABufError(.failed, message)
        }
    }
}

extension Requirements {
    /// What a Vulkan driver says that it takes.
    fileprivate init(
        party: String, _ physical: VulkanPhysicalDevice, sharing: VulkanPhysicalDevice.Sharing,
        _ images: [VulkanPhysicalDevice.ImageSupport]
    ) {
        self.init(party: party)
        takesBytes = true
        if !sharing.imports {
            origin = Origin(exporters: [], reason: "\(physical.driver) imports no dma-bufs")
        }
        let taken = images.filter(\.sharing.imports)
        guard let width = taken.map(\.width).min(), let height = taken.map(\.height).min() else { return }
        var formats = FormatSet([:])
        for image in taken { formats.insert(image.fourcc, Modifier(rawValue: image.modifier)) }
        image = ImageRequirements(
            formats: formats, widths: 1...max(1, width), heights: 1...max(1, height), memoryLimit: 1)
    }
}
