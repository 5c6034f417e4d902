// Posts the authorization response at once. Without scripts the button does the same.
document.getElementById("form-post").submit();
