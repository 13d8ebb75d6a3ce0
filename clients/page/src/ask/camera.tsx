/** Takes a picture with the camera, where the browser lets this page have one. */

import { useEffect, useRef, useState } from "preact/hooks";

import { Notice } from "../ui/notice";

/** Whether the browser offers a camera; over plain HTTP from another machine it does not. */
export function cameraIsThere(): boolean {
  return (navigator.mediaDevices as MediaDevices | undefined)?.getUserMedia !== undefined;
}

export function CameraDialog({ take, close }: { take: (file: File) => Promise<void>; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const [wrong, setWrong] = useState("");
  useEffect(() => {
    let stream: MediaStream | undefined;
    let isClosed = false;
    dialog.current?.showModal();
    navigator.mediaDevices
      .getUserMedia({ video: { facingMode: "environment" } })
      .then((opened) => {
        stream = opened;
        if (isClosed) return opened.getTracks().forEach((track) => track.stop());
        if (video.current !== null) video.current.srcObject = opened;
      })
      .catch((error: unknown) => setWrong(error instanceof Error ? error.message : String(error)));
    return () => {
      isClosed = true;
      stream?.getTracks().forEach((track) => track.stop());
    };
  }, []);
  const shoot = () => {
    const shown = video.current;
    if (shown === null || shown.videoWidth === 0) return;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [shown.videoWidth, shown.videoHeight];
    canvas.getContext("2d")?.drawImage(shown, 0, 0);
    canvas.toBlob((blob) => {
      if (blob === null) return;
      void take(new File([blob], "camera.png", { type: "image/png" }));
      close();
    }, "image/png");
  };
  return (
    <dialog ref={dialog} class="card camera" aria-label="Camera" onClose={close}>
      <div class="stack">
        {wrong === "" ? <video ref={video} autoplay playsInline muted /> : <Notice kind="error">No picture from the camera: {wrong}</Notice>}
        <div class="row">
          <button type="button" class="primary" disabled={wrong !== ""} onClick={shoot}>
            Take it
          </button>
          <button type="button" onClick={close}>
            Cancel
          </button>
        </div>
      </div>
    </dialog>
  );
}
