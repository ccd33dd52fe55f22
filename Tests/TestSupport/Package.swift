// SPDX-License-Identifier: Apache-2.0

/// Where the sources are: tests read fixtures and clients from there.
public enum Package {
    public static let root: String = {
        // …/Tests/TestSupport/Package.swift
        let parts = #filePath.split(separator: "/").dropLast(3)
        return "/" + parts.joined(separator: "/")
    }()
}
