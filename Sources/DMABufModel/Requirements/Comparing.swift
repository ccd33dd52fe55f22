// SPDX-License-Identifier: Apache-2.0

extension Requirements {
    /// What this memory, whatever lies in it, does not meet. What cannot be known is not held against it.
    public func unmet(by memory: MemoryFacts) -> [Unmet] {
        var unmet: [Unmet.Requirement] = []
        if memory.isStandIn {
            if !takesStandIns { unmet.append(.dmaBuf) }
        } else if let origin, !origin.exporters.contains(memory.exporter) {
            unmet.append(.origin(exporter: memory.exporter, origin))
        }
        if traits.contains(.contiguous), memory.isContiguous == false {
            unmet.append(.contiguous(exporter: memory.exporter))
        }
        if let leastSize, memory.byteCount < leastSize {
            unmet.append(.room(byteCount: memory.byteCount, least: leastSize))
        }
        if let sizeLimit, memory.byteCount > sizeLimit {
            unmet.append(.size(byteCount: memory.byteCount, limit: sizeLimit))
        }
        return unmet.map { Unmet(party: party, $0) }
    }

    /// What this content does not meet.
    public func unmet(by description: BufferDescription) -> [Unmet] {
        guard let image else { return [] }
        guard let layout = description.image else { return takesBytes ? [] : [Unmet(party: party, .anImage)] }
        return image.unmet(by: layout, memoryCount: description.sizes.count).map { Unmet(party: party, $0) }
    }
}

extension ImageRequirements {
    func unmet(by image: ImageLayout, memoryCount: Int) -> [Unmet.Requirement] {
        var unmet: [Unmet.Requirement] = []
        let modifiers = formats.modifiers(of: image.fourcc)
        if modifiers.isEmpty {
            unmet.append(.format(fourcc: image.fourcc, takes: formats.fourccs))
        } else if !modifiers.contains(image.modifier) {
            unmet.append(.modifier(fourcc: image.fourcc, image.modifier, takes: modifiers))
        }
        if !widths.contains(image.width) { unmet.append(.width(image.width, takes: widths)) }
        if !heights.contains(image.height) { unmet.append(.height(image.height, takes: heights)) }
        for (index, plane) in image.planes.enumerated() { unmet += self.unmet(by: plane, index, of: image) }
        if memoryCount > memoryLimit { unmet.append(.memoryCount(memoryCount, limit: memoryLimit)) }
        if let layout, unmet.isEmpty { unmet += layout.unmet(by: image) }
        return unmet
    }

    private func unmet(
        by plane: ImageLayout.Plane, _ index: Int, of image: ImageLayout
    ) -> [Unmet.Requirement] {
        var unmet: [Unmet.Requirement] = []
        if plane.stride % strideAlignment != 0 {
            unmet.append(
                .strideAlignment(
                    plane: index, stride: plane.stride, alignment: strideAlignment,
                    would: roundUp(UInt64(plane.stride), to: UInt64(strideAlignment))))
        }
        if let strideLimit = strideLimits[image.fourcc], plane.stride > strideLimit {
            unmet.append(
                .strideLimit(
                    plane: index, stride: plane.stride, limit: strideLimit,
                    would: smallestStride(of: image, index).flatMap { $0 <= strideLimit ? $0 : nil }))
        }
        if plane.offset % offsetAlignment != 0 {
            unmet.append(.offset(plane: index, offset: plane.offset, alignment: offsetAlignment))
        }
        return unmet
    }

    /// Without padding; nil where the format does not tell.
    private func smallestStride(of image: ImageLayout, _ index: Int) -> UInt64? {
        guard let shapes = image.format?.planes, index < shapes.count else { return nil }
        return roundUp(shapes[index].lineByteCount(width: image.width), to: UInt64(strideAlignment))
    }
}

extension ImageLayout {
    /// What another layout does not have where this one has it.
    fileprivate func unmet(by other: ImageLayout) -> [Unmet.Requirement] {
        guard (other.width, other.height, other.fourcc) == (width, height, fourcc),
            other.planes.map(\.memory) == planes.map(\.memory)
        else { return [.layout(other, takes: self)] }
        var unmet: [Unmet.Requirement] = []
        for (index, (has, takes)) in zip(other.planes, planes).enumerated() {
            if has.stride != takes.stride {
                unmet.append(.stride(plane: index, stride: has.stride, takes: takes.stride))
            } else if has.offset != takes.offset {
                unmet.append(.place(plane: index, offset: has.offset, takes: takes.offset))
            }
        }
        return unmet
    }
}
