// SPDX-License-Identifier: Apache-2.0

public import DMABufModel
import DMABufSystem
import SystemPackage

// What a frame is like: agreed on with the device before there are buffers.

extension VideoQueue {
    /// The formats that the device offers and descriptions can say, its preferred first.
    public var formats: [PixelFormat] {
        var found: [PixelFormat] = []
        for code in node.formats(of: type) {
            guard let format = VideoFormat.drm(code).flatMap({ PixelFormat(fourcc: $0) }), !found.contains(format)
            else {
                continue
            }
            found.append(format)
        }
        return found
    }

    /// Sets the size and the format of frames. What is nil the device chooses, and XR24 before others, which every display
    /// shows.
    ///
    /// Throws `refused` where the device would make something else of it, saying what.
    public mutating func choose(
        width: UInt32? = nil, height: UInt32? = nil, format: PixelFormat? = nil
    ) throws(DMABufError) {
        let offered = formats
        if offered.isEmpty { try checkDevice() }
        let wanted = format ?? (offered.contains(.xrgb8888) ? .xrgb8888 : offered.first)
        guard let wanted, offered.contains(wanted) else {
            throw DMABufError(
                .refused, "\(name) does not offer \(format?.text ?? "any format that can be described")",
                remedy: offered.isEmpty ? nil : "choose one of \(offered.map(\.text).joined(separator: ", "))")
        }
        let wish = ImageLayout(
            width: width ?? image.width, height: height ?? image.height, fourcc: wanted.fourcc, modifier: .linear,
            planes: [])
        // In one memory, if the device has it so.
        let codes = node.formats(of: type)
        let memories = (1...ImageLayout.planeLimit).first {
            VideoFormat.video(wanted.fourcc, memories: $0).contains(where: codes.contains)
        }
        try set(wish, strides: [UInt32](repeating: 0, count: memories ?? 1))
        guard (image.width, image.height, image.fourcc) == (wish.width, wish.height, wish.fourcc) else {
            throw DMABufError(
                .refused, "\(name) does not take \(wish.words); it would take \(image.words)",
                remedy: "choose what it would take")
        }
    }

    /// Sets the format to that of a buffer, stride and all.
    ///
    /// Throws `refused` for what the device does not take: which requirement, and what would do.
    public mutating func adopt(_ buffer: DescribedBuffer) throws(DMABufError) {
        guard let image = buffer.description.image else {
            throw DMABufError(.refused, "\(name) takes images, and the buffer is described as bytes")
        }
        var strides = [UInt32](repeating: 0, count: buffer.memory.count)
        for plane in image.planes.reversed() { strides[plane.memory] = plane.stride }
        try set(image, strides: strides)
        try check(buffer)
    }

    /// `strides` of the first plane in each memory; 0 leaves it to the device.
    private mutating func set(_ image: ImageLayout, strides: [UInt32]) throws(DMABufError) {
        let memories = strides.count
        let codes = VideoFormat.video(image.fourcc, memories: memories)
        let offered = node.formats(of: type)
        guard let code = codes.first(where: offered.contains) else {
            throw DMABufError(
                .refused,
                "\(name) does not offer \(PixelFormat.text(of: image.fourcc))\(memories > 1 ? " in \(memories) memories" : "")",
                remedy: "choose one of \(formats.map(\.text).joined(separator: ", "))")
        }
        let wish = V4L2.Format(
            type, width: image.width, height: image.height, fourcc: code,
            memories: strides.map { V4L2.Format.Memory(stride: $0) })
        let (node, name) = (node, name)
        let format = try node.asking(
            "\(name): set its format to \(image.words)",
            remedy: "another program may use the device: stop it first"
        ) { () throws(Errno) in try node.setFormat(wish) }
        (self.image, sizes) = (format.anyImage, format.sizes)
    }

    /// Throws `refused` for a buffer that does not meet the requirements.
    func check(_ buffer: DescribedBuffer) throws(DMABufError) {
        var requirements = requirements
        var unmet = requirements.unmet(by: buffer.description)
        for (index, memory) in buffer.memory.enumerated() {
            requirements.leastSize = index < sizes.count ? sizes[index] : nil
            unmet += requirements.unmet(by: memory.facts)
        }
        if let refusal = DMABufError(refusing: unmet) { throw refusal }
    }
}

extension V4L2.Format {
    /// What the driver says, and where that cannot be described, its size at least.
    var anyImage: ImageLayout {
        image ?? ImageLayout(width: width, height: height, fourcc: fourcc, modifier: .linear, planes: [])
    }
}
