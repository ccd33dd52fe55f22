// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import CUdev
import Glibc
public import SystemPackage

/// libudev: which devices there are, and which come and go.
///
/// | Swift         | C function                                     |
/// |---------------|------------------------------------------------|
/// | `devices`     | `udev_enumerate_scan_devices`                  |
/// | `UdevMonitor` | `udev_monitor_new_from_netlink("kernel")`      |
public enum Udev {
    /// A device as libudev describes it; copied out, so it outlives the library's own record.
    public struct Device: Equatable, Sendable {
        public let subsystem: String
        /// Its name in the subsystem: "card0", "video1".
        public let name: String
        /// Its file in `/dev`, if it has one.
        public let node: String?
        public let syspath: String
        /// Properties of the udev database or of the event: empty without udevd, but for the kernel's own.
        public let properties: [String: String]
        /// The bus and the address of the device that it sits on: "pci", "0000:00:02.0".
        public let parentSubsystem: String?
        public let parentName: String?
    }

    /// All devices of `subsystem` that have a file in `/dev`.
    public static func devices(inSubsystem subsystem: String) throws(Errno) -> [Device] {
        guard let library = unsafe udev_new() else { throw .noMemory }
        defer { unsafe udev_unref(library) }
        guard let scan = unsafe udev_enumerate_new(library) else { throw .noMemory }
        defer { unsafe udev_enumerate_unref(scan) }
        unsafe udev_enumerate_add_match_subsystem(scan, subsystem)
        guard unsafe udev_enumerate_scan_devices(scan) >= 0 else { throw .ioError }
        var devices: [Device] = []
        var entry = unsafe udev_enumerate_get_list_entry(scan)
        while let current = unsafe entry {
            if let device = unsafe udev_device_new_from_syspath(library, udev_list_entry_get_name(current)) {
                unsafe devices.append(Device(copying: device))
                unsafe udev_device_unref(device)
            }
            unsafe entry = udev_list_entry_get_next(current)
        }
        return devices
    }
}

/// Device events from the kernel's own netlink group, which needs no udevd.
@safe
public struct UdevMonitor: ~Copyable, @unchecked Sendable {
    private let library: OpaquePointer
    private let monitor: OpaquePointer

    public struct Event: Equatable, Sendable {
        /// "add", "remove", "change", "bind", "unbind".
        public let action: String
        public let device: Udev.Device
    }

    /// Listens to the kernel's events of `subsystems`, from now on.
    public init(subsystems: [String]) throws(Errno) {
        guard let library = unsafe udev_new() else { throw .noMemory }
        guard let monitor = unsafe udev_monitor_new_from_netlink(library, "kernel") else {
            unsafe udev_unref(library)
            throw Errno(rawValue: errno)
        }
        for subsystem in subsystems {
            unsafe udev_monitor_filter_add_match_subsystem_devtype(monitor, subsystem, nil)
        }
        let answer = unsafe udev_monitor_enable_receiving(monitor)
        guard answer >= 0 else {
            unsafe udev_monitor_unref(monitor)
            unsafe udev_unref(library)
            throw Errno(rawValue: -answer)
        }
        unsafe self.library = library
        unsafe self.monitor = monitor
    }

    deinit {
        unsafe udev_monitor_unref(monitor)
        unsafe udev_unref(library)
    }

    /// Waits for an event until `deadline`, or until `stop` is readable; nil then. Throws `noBufferSpace` once when the
    /// socket's buffer ran over and events were lost; the next call goes on.
    public borrowing func next(until deadline: Deadline, unless stop: borrowing Descriptor) throws(Errno) -> Event? {
        let number = unsafe udev_monitor_get_fd(monitor)
        while true {
            var entries: [2 of pollfd] = [
                pollfd(fd: number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: stop.number, events: Int16(POLLIN), revents: 0),
            ]
            var timeout = deadline.timespecRemaining
            let ready = try valueOrErrno {
                unsafe withUnsafeMutableBytes(of: &entries) {
                    unsafe dmabuf_ppoll($0.baseAddress!.assumingMemoryBound(to: pollfd.self), 2, &timeout)
                }
            }
            if ready == 0 || entries[1].revents != 0 { return nil }
            guard let device = unsafe udev_monitor_receive_device(monitor) else {
                // Events were lost while nobody read: to be told, not passed over.
                if errno == ENOBUFS { throw .noBufferSpace }
                continue
            }
            defer { unsafe udev_device_unref(device) }
            let action = unsafe string(udev_device_get_action(device)) ?? "change"
            return unsafe Event(action: action, device: Udev.Device(copying: device))
        }
    }
}

extension Udev.Device {
    fileprivate init(copying device: OpaquePointer) {
        subsystem = unsafe string(udev_device_get_subsystem(device)) ?? ""
        name = unsafe string(udev_device_get_sysname(device)) ?? ""
        node = unsafe string(udev_device_get_devnode(device))
        syspath = unsafe string(udev_device_get_syspath(device)) ?? ""
        var properties: [String: String] = [:]
        var entry = unsafe udev_device_get_properties_list_entry(device)
        while let current = unsafe entry {
            if let name = unsafe string(udev_list_entry_get_name(current)) {
                properties[name] = unsafe string(udev_list_entry_get_value(current)) ?? ""
            }
            unsafe entry = udev_list_entry_get_next(current)
        }
        self.properties = properties
        // Borrowed from `device`: a parent has no reference of its own.
        let parent = unsafe udev_device_get_parent(device)
        parentSubsystem = unsafe parent.flatMap { unsafe string(udev_device_get_subsystem($0)) }
        parentName = unsafe parent.flatMap { unsafe string(udev_device_get_sysname($0)) }
    }
}

private func string(_ pointer: UnsafePointer<CChar>?) -> String? {
    unsafe pointer.map { unsafe String(cString: $0) }
}
