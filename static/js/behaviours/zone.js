// Tells the server the reader's time zone, so that dates on the next page are in it.
export default function zone() {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!name || document.cookie.includes(`zone=${name}`)) return;
  document.cookie = `zone=${name}; path=/; max-age=31536000; samesite=lax`;
}
