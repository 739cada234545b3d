package main

import (
	"encoding/binary"
	"io"
	"net"
	"time"
)

// How long somebody may keep a stream without asking.
const idle = 10 * time.Second

// answerStream answers what comes over TCP, each message with its length in front (RFC 1035, section 4.2.2).
func answerStream(stream net.Conn, names *directory) error {
	for {
		if err := stream.SetDeadline(time.Now().Add(idle)); err != nil {
			return err
		}
		var length uint16
		if err := binary.Read(stream, binary.BigEndian, &length); err != nil {
			return err
		}
		question := make([]byte, length)
		if _, err := io.ReadFull(stream, question); err != nil {
			return err
		}
		answer, err := names.answer(question, 0)
		if err != nil {
			return err
		}
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(answer)))
		if _, err := stream.Write(append(framed, answer...)); err != nil {
			return err
		}
	}
}
